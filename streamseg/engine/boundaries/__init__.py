"""Detection of boundaries: candidate features, classifier, tracker, refinement in time, feedback."""
