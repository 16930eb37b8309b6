"""What the caller says: the `Source` protocols and every kind of source."""
