"""Slow and obvious versions of what the engine's kernels compute."""
