"""One answered call: its media, its sideband, its conversation."""
