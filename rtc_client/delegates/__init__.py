"""What does the work of a handoff: what a handler gets and may be, how it is run, and two that are ready to use."""
