"""Samples and their timing: sources, sinks, files, resampling, levels, playout. No network, no aiortc."""
