"""Both voices of one call, the two transports that carry them, and barge-in."""
