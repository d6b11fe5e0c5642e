"""Results on full disks, in folders that may not be written, into closed pipes: said in a line, nothing half done."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamseg.atomic_files import remove_temporary_files, write_atomically, write_incrementally
from streamseg.blocks import Block, Gap, Title
from streamseg.engine.models.loader import load_boundary_model
from streamseg.errors import OutputError, UsageError
from streamseg.sources import AudioFileSource, CapturingSource, capture
from tools.command import command, start
from tools.hostile.command_lines import make_folder

RATE = 8_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files that commands read; nobody may read them too."""
    place = tmp_path_factory.mktemp("read")
    for parent in (place, *place.parents[:2]):
        parent.chmod(0o755)
    make_folder(place)
    return place


@contextlib.contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own, soon full. Root on Linux must be able to mount it; for others the test is skipped."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], capture_output=True)
    if done.returncode:
        if sys.platform == "linux" and os.geteuid() == 0:
            pytest.fail(f"root cannot mount a tmpfs: {done.stderr.decode(errors='replace')}")
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path) -> Path:
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def in_one_line(done, code: int, said: str) -> None:
    """The command failed, with a message as its last line and no traceback."""
    assert done.returncode == code, done
    last = done.stderr.strip().splitlines()[-1]
    assert re.match(f"streamseg: .*{said}", last), done
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


WRITERS = [
    ("analyze", "s1.wav", "-o", "{}/w.jsonl"),
    ("analyze", "s1.wav", "-f", "cue", "-o", "{}/w.cue"),
    ("export", "s1.jsonl", "-f", "csv", "-o", "{}/w.csv"),
    ("features", "s1.wav", "-o", "{}/w.npz"),
    ("features", "s1.wav", "-o", "{}/w.csv"),
    ("split", "s1.wav", "--events", "s1.jsonl", "-o", "{}"),
    ("split", "s1.wav", "--events", "s1.jsonl", "-f", "wav", "-o", "{}"),
]


@pytest.mark.parametrize("line", WRITERS, ids=" ".join)
def test_a_full_disk_is_said_and_what_existed_stays(commands, folder: Path, tmp_path: Path, line):
    with disk(tmp_path / "full", "300k") as full:
        old = full / ("1 A 1.flac" if line[0] == "split" else f"w.{line[-1].rpartition('.')[2]}")
        old.write_text("of yesterday")
        filler = fill(full)
        done = commands.run(*(part.format(full) for part in line), "--force", cwd=folder)
        assert old.read_text() == "of yesterday"
        in_one_line(done, 1, f"cannot write .*{re.escape(str(full))}.*")
        filler.unlink()
        assert list(full.iterdir()) == [old]


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


def test_a_model_and_pictures_on_a_full_disk(commands, folder: Path, tmp_path: Path):
    """`/dev/full` is always there, and cannot be replaced."""
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left"):
        load_boundary_model("music").save(Path("/dev/full"))
    assert Path("/dev/full").is_char_device()
    (tmp_path / "x.png").symlink_to("/dev/full")
    for options in (("--csv", "/dev/full"), ("--pictures", tmp_path)):
        done = commands.run("evaluate", "songs", *options, cwd=folder)
        in_one_line(done, 1, "cannot write .*: No space left")


@pytest.mark.parametrize("line", WRITERS, ids=" ".join)
def test_a_folder_that_may_not_be_written(commands, folder: Path, tmp_path: Path, line):
    """As somebody without root's rights, whom no folder here belongs to."""
    place = tmp_path / "closed"
    place.mkdir()
    place.chmod(0o555)
    for parent in (place.parent, *place.parents[1:3]):
        parent.chmod(0o755)
    line = [part.format(place) for part in line]
    done = commands.run(*line, cwd=folder, nobody=os.geteuid() == 0, env={"XDG_DATA_HOME": str(place / "data")})
    in_one_line(done, 1, f"cannot write .*{place}.*|cannot make .*{place}.*")
    assert list(place.iterdir()) == []


def test_captures_and_stores_in_a_folder_that_may_not_be_written(commands, folder: Path, tmp_path: Path):
    place = tmp_path / "closed"
    place.mkdir()
    place.chmod(0o555)
    for parent in (place.parent, *place.parents[1:3]):
        parent.chmod(0o755)
    serve = ("serve", "s1.wav", "--fast", "--port", "0", "--no-history", "--save")
    for save in (place / "w.wav", place, place / "new"):
        done = commands.run(*serve, save, cwd=folder, nobody=os.geteuid() == 0)
        in_one_line(done, 1, f"cannot .*{place}")
    assert list(place.iterdir()) == []


def test_a_missing_folder_is_said_before_the_work(commands, folder: Path):
    for line in (("analyze", "s1.wav", "-o", "no/w.jsonl"), ("tune", "songs", "-o", "no/w.npz")):
        in_one_line(commands.run(*line, cwd=folder), 1, "there is no folder '.*no'")
    in_one_line(commands.run("analyze", "s1.wav", "-o", "sub", cwd=folder), 2, "sub is a folder")
    in_one_line(commands.run("split", "s1.wav", "-o", "notes.txt", cwd=folder), 1, "notes.txt is no folder")
    done = commands.run("serve", "s1.wav", "--fast", "--no-history", "--save", "notes.txt", cwd=folder)
    in_one_line(done, 2, "neither a .wav file nor a folder")


def test_standard_output_on_a_full_disk(commands, folder: Path):
    for line in (("analyze", "s1.wav"), ("export", "s1.jsonl", "-f", "lab")):
        in_one_line(commands.run(*line, cwd=folder, append_to=Path("/dev/full")), 1, "cannot write to standard output")
    serve = ("serve", "s1.wav", "--fast", "--no-history", "--port", "0")
    done = commands.run(*serve, cwd=folder, append_to=Path("/dev/full"))
    assert done.returncode == 0, done
    assert done.stderr.count("standard output cannot be written (No space left on device)") == 1
    assert "1 sections" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away(folder: Path):
    """`| head` ends an export quietly and no server."""
    export = f"{sys.executable} -m streamseg export s1.jsonl -f jsonl; echo code $? >&2"
    done = subprocess.run(["sh", "-c", f"({export}) | true"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert re.fullmatch(r"code (0|1|141)\n", done.stderr), done.stderr
    with subprocess.Popen(
        command("serve", "s1.wav", "--fast", "--no-history", "--port", "0"),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as serving:  # fmt: skip
        serving.stdout.close()
        messages = serving.stderr.read()
        assert serving.wait(60) == 0, messages
    assert messages.count("standard output cannot be written (Broken pipe)") == 1
    assert "1 sections" in messages


def test_a_server_says_when_standard_output_works_again(tmp_path: Path):
    code = """
import os, sys
from streamseg.cli.standard_streams import tolerate_standard_output_errors
with tolerate_standard_output_errors():
    print("one")
    place = os.dup(1)
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    print("two")
    print("three")
    os.dup2(place, 1)
    print("four")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["one", "four"]
    first, second = done.stderr.splitlines()
    assert "No space left" in first
    assert "can be written again; 2 lines are missing" in second


class Sounding:
    """A source that does something between its blocks."""

    name = "mic"
    dropped_samples = 0

    def __init__(self, steps):
        self._steps = steps

    def __iter__(self):
        for step in self._steps:
            if callable(step):
                step()
            else:
                yield step

    def close(self) -> None:
        pass


def test_a_capture_outlives_a_full_disk_and_marks_what_is_missing(tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(capture, "_RETRY_INTERVAL_S", 0.0)
    chance = np.random.default_rng(1)
    blocks = [Block(chance.standard_normal((1000, 2)).astype(np.float32), RATE) for _ in range(12)]
    with disk(tmp_path / "full", "200k") as full:
        filler = full / "filler"
        title = Title("while it was full")
        steps = [*blocks[:4], lambda: fill(full), *blocks[4:7], title, *blocks[7:8], filler.unlink, *blocks[8:]]
        source = CapturingSource(Sounding(steps), full / "take.wav")
        passed = list(source)
        assert [item for item in passed if isinstance(item, Block)] == blocks
        again = list(AudioFileSource(full / "take.wav"))
    gaps = [item for item in again if isinstance(item, Gap)]
    heard = np.concatenate([item.samples for item in again if isinstance(item, Block)])
    lost = sum(gap.missing_samples for gap in gaps)
    assert 2000 <= lost <= 4000
    assert lost + len(heard) == 12_000
    assert title in again
    whole = np.concatenate([block.samples for block in blocks])
    first = (4000 + 4000 - lost) if lost < 4000 else 4000
    np.testing.assert_array_equal(heard[:first], whole[:first])
    np.testing.assert_array_equal(heard[-4000:], whole[-4000:])
    assert f"lacks {lost / RATE:.1f} s" in str(source.failure)
    assert "No space left" in caplog.records[0].message
    assert "is written again" in caplog.records[-1].message
    assert len(caplog.records) == 2


def test_a_capture_on_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path: Path):
    with disk(tmp_path / "full", "64k") as full:
        filler = fill(full)
        source = CapturingSource(Sounding([Block(np.ones((9000, 2), np.float32), RATE)]), full / "take.wav")
        assert len(list(source)) == 1
        assert "lacks 1.1 s" in str(source.failure)
        assert list(full.iterdir()) == [filler]


def test_serve_goes_on_when_its_capture_cannot(commands, folder: Path, tmp_path: Path):
    """The events are those of a run without a capture; the end says what is missing, with exit code 1."""
    with disk(tmp_path / "full", "32k") as full:
        line = ("serve", "s3.ogg", "--fast", "--no-history", "--port", "0")
        without = commands.run(*line, cwd=folder)
        done = commands.run(*line, "--save", full / "take.wav", cwd=folder)
        assert done.stdout == without.stdout
        in_one_line(done, 1, r"the capture .*take\.wav lacks \d\.\d s of sound")
        assert done.stderr.count("cannot be written (No space left on device)") == 1


def test_captures_of_every_channel_count_and_size_read_as_they_were(tmp_path: Path, monkeypatch):
    from streamseg.sources import wav_writer

    for largest in (0xFFFF_FFFF, 10_000):  # as if four gigabytes were ten kilobytes
        monkeypatch.setattr(wav_writer, "_MAX_RIFF_BYTES", largest)
        for channels in (1, 2, 3, 6):
            path = tmp_path / f"{largest}-{channels}.wav"
            samples = np.random.default_rng(channels).standard_normal((3000, channels)).astype(np.float32)
            list(CapturingSource(Sounding([Block(samples[:1000], RATE), Block(samples[1000:], RATE)]), path))
            assert path.read_bytes()[:4] == (b"RIFF" if largest > 10_000 else b"RF64")
            np.testing.assert_array_equal(soundfile.read(path, dtype="float32", always_2d=True)[0], samples)
            again = np.concatenate([block.samples for block in AudioFileSource(path)])
            np.testing.assert_array_equal(again, samples)


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
