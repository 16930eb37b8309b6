"""A call kept in a folder."""
