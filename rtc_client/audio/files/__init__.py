"""Audio files: reading any, writing WAV, FLAC and Ogg Opus, in a background thread."""
