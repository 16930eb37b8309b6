"""Measuring audio: levels, voice activity, comparison."""
