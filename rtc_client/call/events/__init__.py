"""Events of a call on their way to every reader: router, event log, local events, awaited responses."""
