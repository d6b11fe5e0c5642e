"""Results on full disks, in folders that may not be written, into closed pipes: said in a line, nothing half done."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import disk, fill

from streamseg.engine.models.loader import load_boundary_model
from streamseg.errors import OutputError
from tools.command import command
from tools.hostile.command_lines import make_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files that commands read; nobody may read them too."""
    place = tmp_path_factory.mktemp("read")
    for parent in (place, *place.parents[:2]):
        parent.chmod(0o755)
    make_folder(place)
    return place


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
    assert "1 section (" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away(folder: Path):
    """`| head` ends an export quietly and no server."""
    with subprocess.Popen(
        command("export", "s1.jsonl", "-f", "jsonl"),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as export:  # fmt: skip
        export.stdout.close()
        assert (export.stderr.read(), export.wait(60)) == ("", 1)
    with subprocess.Popen(
        command("serve", "s1.wav", "--fast", "--no-history", "--port", "0"),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as serving:  # fmt: skip
        serving.stdout.close()
        messages = serving.stderr.read()
        assert serving.wait(60) == 0, messages
    assert messages.count("standard output cannot be written (Broken pipe)") == 1
    assert "1 section (" in messages


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


def test_serve_goes_on_when_its_capture_cannot(commands, folder: Path, tmp_path: Path):
    """The events are those of a run without a capture; the end says what is missing, with exit code 1."""
    with disk(tmp_path / "full", "32k") as full:
        line = ("serve", "s3.ogg", "--fast", "--no-history", "--port", "0")
        without = commands.run(*line, cwd=folder)
        done = commands.run(*line, "--save", full / "take.wav", cwd=folder)
        assert done.stdout == without.stdout
        in_one_line(done, 1, r"the capture .*take\.wav lacks \d\.\d s of sound")
        assert done.stderr.count("cannot be written (No space left on device)") == 1
