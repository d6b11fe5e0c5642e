"""How the features compare with other programs, on annotated sound: `python tests/reference/figures.py DIR`."""
