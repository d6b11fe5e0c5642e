"""Sections between boundaries: their life cycle, report, statistics and key."""
