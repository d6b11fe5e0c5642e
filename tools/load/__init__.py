"""Harnesses that load, kill and fuzz the server. Each is a command (`python -m tools.load.NAME --help`); the tests run
each for a few seconds.
"""
