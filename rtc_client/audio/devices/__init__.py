"""Microphone and speaker: PortAudio, clock drift, devices that are reopened."""
