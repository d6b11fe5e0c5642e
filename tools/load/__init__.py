"""Harnesses that load, kill and fuzz the server. Each is a command (`python -m tools.load.NAME --help`);
the suite runs a slice of each, a few seconds long."""
