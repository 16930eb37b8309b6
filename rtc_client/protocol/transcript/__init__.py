"""Who said what in a call, written down from pieces of text and news of items; pure."""
