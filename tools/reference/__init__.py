"""Comparison of the features with other programs on annotated sound: `python -m tools.reference.figures DIR`."""
