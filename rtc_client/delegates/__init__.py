"""Delegates do the work of a handoff: the request they get, how they run, and two that are ready to use."""
