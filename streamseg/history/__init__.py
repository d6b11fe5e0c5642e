"""The SQLite log: writing in batches, reading, retention."""
