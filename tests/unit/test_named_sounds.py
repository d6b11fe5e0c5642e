"""What is remembered between runs."""

import sqlite3
import threading

import numpy as np
import pytest

from streamseg.engine import Segmenter, segment
from streamseg.engine.named_sounds import NamedSound, NamedSounds
from streamseg.engine.packed_arrays import pack_arrays, unpack_arrays
from streamseg.errors import HistoryError, UsageError
from streamseg.history import sqlite_file
from streamseg.live import name_store
from streamseg.live.name_store import NameStore
from streamseg.wire.events import StreamStarted


def sound(name="Chorus", kind="section", value=1.0):
    return NamedSound(name=name, kind=kind, content=pack_arrays(mean=np.full(3, value)))


class TestMemory:
    def test_arrays_come_back(self):
        arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(5)}
        back = unpack_arrays(pack_arrays(**arrays))
        assert back.keys() == arrays.keys()
        for name, array in arrays.items():
            assert back[name].dtype == array.dtype
            assert np.array_equal(back[name], array)

    @pytest.mark.parametrize("content", [b"", b"no arrays", pack_arrays(a=np.zeros(9))[:40]])
    def test_what_is_no_pack(self, content):
        with pytest.raises(ValueError, match="no packed arrays"):
            unpack_arrays(content)

    def test_what_looks_damaged_because_it_is_being_written_is_read_again(self, tmp_path):
        file = NameStore(tmp_path / "memory.sqlite")
        file.add_entry(sound())
        whole = file.path.read_bytes()
        file.path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))  # as in the middle of a checkpoint
        seen = []

        def read(db):
            try:
                return db.execute("SELECT count(*) FROM remembered").fetchone()
            except sqlite3.DatabaseError as error:
                seen.append(error)
                file.path.write_bytes(whole)
                raise

        assert sqlite_file.query_database(file.path, read) == (1,)
        assert len(seen) == 1
        assert file.list_entries()[0].name == "Chorus"

    def test_the_hash_tells_memories_apart(self):
        memories = [(), (sound(),), (sound("Verse"),), (sound(value=2.0),), (sound(kind="cue"),), (sound(), sound())]
        assert len({NamedSounds(entries).hash for entries in memories}) == len(memories)
        assert NamedSounds().hash == "none"
        assert NamedSounds((sound(),)).hash == NamedSounds((sound(),)).hash

    def test_a_run_names_it(self):
        memory = NamedSounds((sound(),))
        started = next(iter(segment([np.zeros(100, np.float32)], sample_rate=8000, named_sounds=memory)))
        assert isinstance(started.data, StreamStarted)
        assert started.data.hashes["memory"] == memory.hash
        assert Segmenter().push(np.zeros(1))[0].data.hashes["memory"] == "none"


class TestMemoryFile:
    def test_what_is_added_is_there_in_the_next_run(self, tmp_path):
        path = tmp_path / "new folder" / "memory.sqlite"
        assert NameStore(path).load_named_sounds() == NamedSounds()
        assert not path.exists()  # looking leaves no trace
        entries = (sound("Chorus"), sound("Jingle", "cue"), sound("Chorus", value=3.0))
        for entry in entries:
            NameStore(path).add_entry(entry, "mic")
        assert NameStore(path).load_named_sounds() == NamedSounds(entries)
        assert NamedSounds(entries).of_kind("cue") == entries[1:2]
        assert [entry.stream for entry in NameStore(path).list_entries()] == ["mic"] * 3

    def test_rename_replace_forget(self, tmp_path):
        file = NameStore(tmp_path / "memory.sqlite")
        first = file.add_entry(sound("Chorus"))
        file.add_entry(sound("Chorus", value=2.0))
        assert file.rename_section_entries("Chorus", "Refrain") == 2
        assert file.rename_section_entries("Chorus", "Refrain") == 0
        file.replace_entry(first, sound("Bridge", value=5.0))
        assert [entry.name for entry in file.list_entries()] == ["Bridge", "Refrain"]
        assert file.delete_entries("Refrain") == 1
        assert file.load_named_sounds() == NamedSounds((sound("Bridge", value=5.0),))

    def test_it_is_bounded(self, tmp_path, monkeypatch):
        monkeypatch.setattr(name_store, "MAX_ENTRIES", 3)
        file = NameStore(tmp_path / "memory.sqlite")
        for i in range(5):
            file.add_entry(sound(str(i)))
        assert [entry.name for entry in file.list_entries()] == ["2", "3", "4"]
        with pytest.raises(UsageError, match="at most"):
            file.add_entry(NamedSound(name="x", kind="cue", content=bytes(2**20 + 1)))

    def test_several_sides_write_at_once(self, tmp_path):
        file = NameStore(tmp_path / "memory.sqlite")
        sides = [threading.Thread(target=lambda i=i: file.add_entry(sound(str(i)))) for i in range(8)]
        for side in sides:
            side.start()
        for side in sides:
            side.join()
        assert sorted(entry.name for entry in file.list_entries()) == [str(i) for i in range(8)]

    def test_a_file_that_is_something_else_is_left_alone(self, tmp_path):
        path = tmp_path / "memory.sqlite"
        path.write_text("not a database, but a long enough text to look at " * 10)
        before = path.read_bytes()
        with pytest.raises(HistoryError, match="--memory"):
            NameStore(path).load_named_sounds()
        assert path.read_bytes() == before

    @pytest.mark.parametrize("table", [None, "notes", "event"])
    def test_a_file_of_another_program_is_refused_unchanged(self, tmp_path, table):
        path = tmp_path / "song.ogg"
        if table is None:
            path.write_bytes(b"OggS" + bytes(range(256)) * 32)
        else:
            connection = sqlite3.connect(path)
            connection.execute(f"CREATE TABLE {table} (x)")
            connection.close()
        before = path.read_bytes()
        file = NameStore(path)
        with pytest.raises(UsageError, match=r"is not a memory of streamseg.*--memory"):
            file.refuse_foreign_file()
        for use in (
            lambda: file.add_entry(sound()),
            file.list_entries,
            lambda: file.delete_entries("x"),
            file.load_named_sounds,
        ):
            with pytest.raises(HistoryError, match="is not a memory of streamseg"):
                use()
        assert path.read_bytes() == before
        assert [found.name for found in tmp_path.iterdir()] == ["song.ogg"]

    def test_looking_writes_nothing(self, tmp_path):
        """A memory that may only be read, or that another process writes, is read all the same."""
        file = NameStore(tmp_path / "memory.sqlite")
        file.add_entry(sound("Chorus"))
        before = {found: found.read_bytes() for found in tmp_path.iterdir()}
        file.refuse_foreign_file()
        assert [entry.name for entry in file.list_entries()] == ["Chorus"]
        assert {found: found.read_bytes() for found in tmp_path.iterdir()} == before
        writer = name_store.connect_database(file.path)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM remembered")
        assert [entry.name for entry in file.list_entries()] == ["Chorus"]
        writer.execute("COMMIT")
        assert file.list_entries() == []
        writer.close()

    def test_one_from_before_files_were_marked_is_known(self, tmp_path):
        path = tmp_path / "names.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript(f"{name_store.MIGRATIONS[0]} PRAGMA user_version=1;")
        connection.close()
        file = NameStore(path)
        file.refuse_foreign_file()
        file.add_entry(sound())
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA application_id").fetchone() == (name_store.KIND.application_id,)
        connection.close()

    def test_one_of_a_newer_version_is_left_alone(self, tmp_path):
        file = NameStore(tmp_path / "memory.sqlite")
        file.add_entry(sound())
        connection = name_store.connect_database(file.path)
        connection.execute("PRAGMA user_version=99")
        connection.close()
        with pytest.raises(HistoryError, match="newer"):
            file.load_named_sounds()
