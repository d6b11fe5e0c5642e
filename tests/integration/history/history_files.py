"""The files of a history, ways to damage them, and the database of another program."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path


def part(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def hashes(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def truncate(path: Path, to: float) -> None:
    with path.open("r+b") as file:
        file.truncate(int(to * path.stat().st_size))


def foreign(path: Path, *, wal: bool, application_id: int = 0) -> None:
    """Another program's database."""
    path.parent.mkdir(exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
    db.execute(f"PRAGMA application_id={application_id}")
    db.executescript("CREATE TABLE notes (x); INSERT INTO notes VALUES ('mine'); PRAGMA user_version=1;")
    db.close()
