"""Detection of taught jingles: fingerprint, matcher, detector."""
