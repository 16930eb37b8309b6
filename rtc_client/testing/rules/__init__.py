"""What the protocol demands of a client."""
