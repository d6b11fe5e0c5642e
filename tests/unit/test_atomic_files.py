"""Files that appear whole, or grow by whole lines, and never replace another unasked."""

import errno
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from full_disk import disk

from streamseg.atomic_files import remove_temporary_files, write_atomically, write_incrementally
from streamseg.errors import OutputError, UsageError
from tools.command import start


def write_lines(path: Path, lines: list[bytes]) -> None:
    with write_incrementally(path, replace=False) as write_line:
        for line in lines:
            write_line(line)


def test_a_full_disk_keeps_whole_lines_of_a_result_that_grows(tmp_path: Path):
    with disk(tmp_path / "full", "64k") as full:
        line = b"x" * 999 + b"\n"
        with pytest.raises(OutputError, match="No space left"):
            write_lines(full / "a", 1000 * [line])
        written = (full / "a").read_bytes()
        assert len(written) > 30_000
        assert written == line * (len(written) // 1000)


def test_events_can_be_read_while_they_are_written_and_stay_when_it_is_stopped(tmp_path: Path):
    out = tmp_path / "a.jsonl"
    with start("analyze", "-", "-o", out, stdin=subprocess.PIPE) as analysis:
        analysis.process.stdin.buffer.write(b"\0\1\0\1" * 44100 * 15)
        analysis.process.stdin.flush()
        deadline = time.monotonic() + 90
        while not (out.exists() and out.read_bytes().endswith(b"\n")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert json.loads(out.read_text().splitlines()[0])["type"] == "streamseg.stream.started.v1"
        analysis.process.send_signal(signal.SIGINT)
        code, _, messages = analysis.end()
    assert code == 1, messages
    last = json.loads(out.read_text().splitlines()[-1])
    assert (last["type"], last["data"]["reason"]) == ("streamseg.stream.stopped.v1", "stopped")
    assert list(tmp_path.iterdir()) == [out]


def test_files_appear_whole(tmp_path: Path):
    out = tmp_path / "a"
    with write_atomically(out, replace=False) as file:
        file.write(b"half")
        assert not out.exists()
    assert out.read_bytes() == b"half"
    with pytest.raises(UsageError, match="exists"), write_atomically(out, replace=False):
        pass
    with pytest.raises(ZeroDivisionError), write_atomically(out, replace=True) as file:
        file.write(bytes(1 // 0))
    assert out.read_bytes() == b"half"
    with pytest.raises(UsageError, match="meanwhile"), write_atomically(tmp_path / "b", replace=False):
        (tmp_path / "b").write_text("of somebody else")
    assert (tmp_path / "b").read_text() == "of somebody else"
    with pytest.raises(OutputError, match="No space"), write_atomically(tmp_path / "c", replace=False):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError), write_atomically(tmp_path / "d", replace=False):
        remove_temporary_files()  # as at a second Ctrl-C
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
