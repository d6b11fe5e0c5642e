"""Command lines that once crashed, hung or destroyed a file, and random ones."""

from pathlib import Path

import pytest

from tools.hostile.command_lines import campaign


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("analyze", ""), 2),
        (("split", "-", "--events", "s1.jsonl", "-o", "parts", "--force"), 2),
        (("split", "/dev/null", "--events", "s1.jsonl", "-o", "parts", "--force"), 2),
        (("serve", "s1.wav", "--history", ""), 2),
        (("lessons", "--lessons", "/dev/full", "--forget"), 2),
        (("names", "--memory", "x" * 250), 0),
        (("serve", "s1.wav", "--fast", "--port", "0", "--history", "x" * 250), 1),
        (("analyze", "s1.wav", "-o", "x" * 300), 1),
        (("serve", "s1.wav", "--fast", "--cert", "/dev/zero", "--no-history"), 2),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_command_lines_that_once_crashed_or_hung(commands, folder: Path, line, code):
    done = commands.run(*line, cwd=folder, patience_s=30)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert "--debug COMMAND" not in done.stderr


def test_a_playlist_never_comes_to_the_ffmpeg_program(commands, folder: Path, tmp_path: Path):
    """It names itself: that program would follow it until all memory is used."""
    playlist = tmp_path / "self.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nself.m3u8\n")
    parts = tmp_path / "parts"
    done = commands.run("split", playlist, "--events", "s1.jsonl", "-o", parts, "--force", cwd=folder, patience_s=30)
    assert done.returncode == 1
    assert "is a playlist" in done.stderr
    assert not parts.exists()


def test_random_command_lines_destroy_nothing():
    found = campaign(40, seed=2, jobs=1)
    assert found["faults"] == []
    assert found["exit_codes"].keys() <= {"0", "1", "2"}
