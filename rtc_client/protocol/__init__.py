"""The pure core: bytes and texts in, values out, and back. No await, no clock, no logging, no numpy."""
