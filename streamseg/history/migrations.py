"""Runs transactions, and migrates older SQLite files of streamseg to the present version of their tables.

Migrations are scripts, in order; `user_version` in the file is the number of those that were applied.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class NewerVersionError(Exception):
    """Raised for an SQLite file of a newer version of streamseg, which this version cannot use."""


@contextmanager
def write_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run the `with` block as one writing transaction: commit at the end, or roll back if the block raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # after some failures SQLite has rolled back already
            db.execute("ROLLBACK")
        raise


def read_schema_version(db: sqlite3.Connection, migrations: Sequence[str]) -> int:
    """Return how many of `migrations` were applied to a database. Raises NewerVersionError if it has more."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise NewerVersionError(f"its version {version} is newer than ours, {len(migrations)}")
    return int(version)


def migrate_database(db: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Apply the migrations that a database does not have yet; the caller must have begun a transaction.

    Raises NewerVersionError, or sqlite3.Error where the tables are not those of the file's version.
    """
    version = read_schema_version(db, migrations)
    for number, script in enumerate(migrations[version:], version + 1):
        for statement in script.split(";"):  # no statement of ours contains one
            db.execute(statement)
        db.execute(f"PRAGMA user_version={number}")
