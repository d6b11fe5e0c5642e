"""Harnesses that load, kill and fuzz the server. Each is a command (`cd tests && python -m load.NAME --help`);
the suite runs a slice of each, a few seconds long."""
