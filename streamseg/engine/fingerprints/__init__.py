"""Taught jingles: fingerprint, matcher, and the boundaries they make."""
