"""Samples to bytes and back: Opus by libopus, what an Opus packet says of itself, base64 PCM."""
