"""Bad networks: a UDP relay and the HTTP proxy before it."""
