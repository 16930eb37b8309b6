"""Which response answers which request, and when the next response may be requested."""
