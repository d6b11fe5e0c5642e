"""Trained weights (npz files), a card for each that describes its training, and their loader."""
