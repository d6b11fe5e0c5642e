"""How the features compare with other programs, on annotated sound: `python -m tools.reference.figures DIR`."""
