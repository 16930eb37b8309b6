"""The terminal: keys, live view, standard input and output."""
