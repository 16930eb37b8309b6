"""What the agent does and what a client is expected to do."""
