"""From packets that arrive to 20 ms frames: jitter buffer, target delay, decoding, time stretching."""
