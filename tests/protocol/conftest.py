"""Settings of the property tests."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says something about the machine, not about the parser.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
