"""The HTTP routes of the fake answerer."""
