"""Listens to a live sound and says, while it plays, when it changes, what it is, and whether it was heard before."""

__version__ = "0.1.0"
