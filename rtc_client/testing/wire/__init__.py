"""Plain values and logs of what went over the wire."""
