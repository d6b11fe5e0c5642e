"""Transactions and migrations: all of a change or nothing of it, whatever fails."""

from __future__ import annotations

import sqlite3

import pytest

from streamseg.history.migrations import NewerVersionError, migrate_database, read_schema_version, write_transaction

MIGRATIONS = ("CREATE TABLE a (x); CREATE TABLE b (x);", "ALTER TABLE a ADD COLUMN y;", "CREATE TABLE c (x);")


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def tables(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name")]


def version(db: sqlite3.Connection) -> int:
    return db.execute("PRAGMA user_version").fetchone()[0]


@pytest.mark.parametrize("first", range(4))
def test_a_file_of_any_version_gets_the_migrations_that_it_lacks(db, first):
    for migrations in (MIGRATIONS[:first], MIGRATIONS, MIGRATIONS):
        with write_transaction(db):
            migrate_database(db, migrations)
        assert version(db) == len(migrations) == read_schema_version(db, MIGRATIONS)
    assert tables(db) == ["a", "b", "c"]
    assert [row[1] for row in db.execute("PRAGMA table_info(a)")] == ["x", "y"]


def test_a_migration_that_fails_leaves_the_file_as_it_was(db):
    with write_transaction(db):
        migrate_database(db, MIGRATIONS[:1])
    with pytest.raises(sqlite3.OperationalError, match="no such table"), write_transaction(db):
        migrate_database(db, (*MIGRATIONS[:2], "CREATE TABLE d (x); ALTER TABLE nowhere ADD COLUMN z;"))
    assert version(db) == 1
    assert tables(db) == ["a", "b"]
    assert [row[1] for row in db.execute("PRAGMA table_info(a)")] == ["x"]


def test_a_newer_file_is_refused(db):
    db.execute("PRAGMA user_version=4")
    with pytest.raises(NewerVersionError, match="its version 4 is newer than ours, 3"):
        read_schema_version(db, MIGRATIONS)
    with pytest.raises(NewerVersionError), write_transaction(db):
        migrate_database(db, MIGRATIONS)
    assert version(db) == 4
    assert tables(db) == []


class TestTransaction:
    def test_its_end_commits(self, db):
        with write_transaction(db):
            db.execute("CREATE TABLE a (x)")
            assert db.in_transaction
        assert not db.in_transaction
        assert tables(db) == ["a"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_error_rolls_back_and_passes_through(self, db, error):
        def fail() -> None:
            with write_transaction(db):
                db.execute("CREATE TABLE a (x)")
                raise error

        with pytest.raises(error):
            fail()
        assert not db.in_transaction
        assert tables(db) == []

    def test_an_error_after_which_sqlite_has_rolled_back_passes_through(self, db):
        db.execute("CREATE TABLE a (x UNIQUE)")
        db.execute("INSERT INTO a VALUES (1)")
        with pytest.raises(sqlite3.IntegrityError), write_transaction(db):
            db.execute("INSERT OR ROLLBACK INTO a VALUES (1)")
        assert not db.in_transaction

    def test_a_second_writer_is_kept_out_from_the_beginning(self, tmp_path):
        first, second = (sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None, timeout=0) for _ in range(2))
        with (
            write_transaction(first),
            pytest.raises(sqlite3.OperationalError, match="locked"),
            write_transaction(second),
        ):
            pass
        first.close()
        second.close()
