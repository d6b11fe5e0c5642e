"""The history: recorded events in a SQLite file, written in batches, read for clients, deleted when old."""
