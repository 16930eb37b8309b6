"""Where the agent's audio goes: the `Sink` protocols and every kind of sink."""
