"""Comparison with other programs and of clusterers, on the same sound and with the same scores."""
