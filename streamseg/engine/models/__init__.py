"""Trained weights (npz), a card for each that says how it was trained, and their loader."""
