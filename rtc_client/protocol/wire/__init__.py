"""The JSON vocabulary of the Realtime API: events, commands, items, sessions, and the codec. No logic."""
