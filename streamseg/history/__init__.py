"""The history: records events in a SQLite file, reads them for clients that missed them, and deletes old ones."""
