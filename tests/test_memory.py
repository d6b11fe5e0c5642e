"""What is remembered between runs."""

import sqlite3
import threading

import numpy as np
import pytest

from streamseg.engine import Segmenter, segment
from streamseg.errors import AskedWrongly, HistoryFailed
from streamseg.events import StreamStarted
from streamseg.memory import Memory, Remembered, pack, unpack
from streamseg.server import database, remembering
from streamseg.server.remembering import MemoryFile


def sound(name="Chorus", kind="section", value=1.0):
    return Remembered(name=name, kind=kind, content=pack(mean=np.full(3, value)))


class TestMemory:
    def test_arrays_come_back(self):
        arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(5)}
        back = unpack(pack(**arrays))
        assert back.keys() == arrays.keys()
        for name, array in arrays.items():
            assert back[name].dtype == array.dtype
            assert np.array_equal(back[name], array)

    @pytest.mark.parametrize("content", [b"", b"no arrays", pack(a=np.zeros(9))[:40]])
    def test_what_is_no_pack(self, content):
        with pytest.raises(ValueError, match="no packed arrays"):
            unpack(content)

    def test_what_looks_damaged_because_it_is_being_written_is_read_again(self, tmp_path):
        file = MemoryFile(tmp_path / "memory.sqlite")
        file.add(sound())
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

        assert database.query(file.path, read) == (1,)
        assert len(seen) == 1
        assert file.entries()[0].name == "Chorus"

    def test_the_hash_tells_memories_apart(self):
        memories = [(), (sound(),), (sound("Verse"),), (sound(value=2.0),), (sound(kind="cue"),), (sound(), sound())]
        assert len({Memory(entries).hash for entries in memories}) == len(memories)
        assert Memory().hash == "none"
        assert Memory((sound(),)).hash == Memory((sound(),)).hash

    def test_a_run_names_it(self):
        memory = Memory((sound(),))
        started = next(iter(segment([np.zeros(100, np.float32)], sample_rate=8000, memory=memory)))
        assert isinstance(started.data, StreamStarted)
        assert started.data.hashes["memory"] == memory.hash
        assert Segmenter().push(np.zeros(1))[0].data.hashes["memory"] == "none"


class TestMemoryFile:
    def test_what_is_added_is_there_in_the_next_run(self, tmp_path):
        path = tmp_path / "new folder" / "memory.sqlite"
        assert MemoryFile(path).memory() == Memory()
        assert not path.exists()  # looking leaves no trace
        entries = (sound("Chorus"), sound("Jingle", "cue"), sound("Chorus", value=3.0))
        for entry in entries:
            MemoryFile(path).add(entry, "mic")
        assert MemoryFile(path).memory() == Memory(entries)
        assert Memory(entries).of("cue") == entries[1:2]
        assert [entry.stream for entry in MemoryFile(path).entries()] == ["mic"] * 3

    def test_rename_replace_forget(self, tmp_path):
        file = MemoryFile(tmp_path / "memory.sqlite")
        first = file.add(sound("Chorus"))
        file.add(sound("Chorus", value=2.0))
        assert file.rename("Chorus", "Refrain") == 2
        assert file.rename("Chorus", "Refrain") == 0
        file.replace(first, sound("Bridge", value=5.0))
        assert [entry.name for entry in file.entries()] == ["Bridge", "Refrain"]
        assert file.forget("Refrain") == 1
        assert file.memory() == Memory((sound("Bridge", value=5.0),))

    def test_it_is_bounded(self, tmp_path, monkeypatch):
        monkeypatch.setattr(remembering, "MOST", 3)
        file = MemoryFile(tmp_path / "memory.sqlite")
        for i in range(5):
            file.add(sound(str(i)))
        assert [entry.name for entry in file.entries()] == ["2", "3", "4"]
        with pytest.raises(AskedWrongly, match="at most"):
            file.add(Remembered(name="x", kind="cue", content=bytes(2**20 + 1)))

    def test_several_sides_write_at_once(self, tmp_path):
        file = MemoryFile(tmp_path / "memory.sqlite")
        sides = [threading.Thread(target=lambda i=i: file.add(sound(str(i)))) for i in range(8)]
        for side in sides:
            side.start()
        for side in sides:
            side.join()
        assert sorted(entry.name for entry in file.entries()) == [str(i) for i in range(8)]

    def test_a_file_that_is_something_else_is_left_alone(self, tmp_path):
        path = tmp_path / "memory.sqlite"
        path.write_text("not a database, but a long enough text to look at " * 10)
        before = path.read_bytes()
        with pytest.raises(HistoryFailed, match="--memory"):
            MemoryFile(path).memory()
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
        file = MemoryFile(path)
        with pytest.raises(AskedWrongly, match=r"is not a memory of streamseg.*--memory"):
            file.check()
        for use in (lambda: file.add(sound()), file.entries, lambda: file.forget("x"), file.memory):
            with pytest.raises(HistoryFailed, match="is not a memory of streamseg"):
                use()
        assert path.read_bytes() == before
        assert [found.name for found in tmp_path.iterdir()] == ["song.ogg"]

    def test_looking_writes_nothing(self, tmp_path):
        """A memory that may only be read, or that another process writes, is read all the same."""
        file = MemoryFile(tmp_path / "memory.sqlite")
        file.add(sound("Chorus"))
        before = {found: found.read_bytes() for found in tmp_path.iterdir()}
        file.check()
        assert [entry.name for entry in file.entries()] == ["Chorus"]
        assert {found: found.read_bytes() for found in tmp_path.iterdir()} == before
        writer = remembering.connect(file.path)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM remembered")
        assert [entry.name for entry in file.entries()] == ["Chorus"]
        writer.execute("COMMIT")
        assert file.entries() == []
        writer.close()

    def test_one_from_before_files_were_marked_is_known(self, tmp_path):
        path = tmp_path / "names.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript(f"{remembering.MIGRATIONS[0]} PRAGMA user_version=1;")
        connection.close()
        file = MemoryFile(path)
        file.check()
        file.add(sound())
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA application_id").fetchone() == (remembering.KIND.application_id,)
        connection.close()

    def test_one_of_a_newer_version_is_left_alone(self, tmp_path):
        file = MemoryFile(tmp_path / "memory.sqlite")
        file.add(sound())
        connection = remembering.connect(file.path)
        connection.execute("PRAGMA user_version=99")
        connection.close()
        with pytest.raises(HistoryFailed, match="newer"):
            file.memory()
