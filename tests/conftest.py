"""Makes the folders beside it importable from every test (`sound`, `naive`, `live`)."""
