"""Handlers of handoffs and tools at work."""
