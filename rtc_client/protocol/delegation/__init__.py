"""Handoffs and tools as values: what is asked, what may be answered, schemas from signatures."""
