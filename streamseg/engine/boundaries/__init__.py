"""Boundaries: candidate features, classifier, tracker, refinement in time, feedback."""
