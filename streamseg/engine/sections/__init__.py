"""Sections: their life cycle, report, statistics and key."""
