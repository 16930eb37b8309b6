"""Cassettes: recorded calls without secrets and addresses, written by both sides, replayed and compared.

A file format and what is derived from it, no wire code: this is what the client and the fake answerer may share.
"""
