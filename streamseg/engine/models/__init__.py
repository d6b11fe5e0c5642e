"""Trained numbers, and how they were trained."""
