"""Recorded calls, replayed."""
