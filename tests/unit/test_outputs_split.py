"""Cutting: real files, real ffmpeg; nothing lost between two parts, nothing twice."""

import dataclasses
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from unit.test_outputs import LABELS, run

from streamseg.errors import MissingLibraryError, OutputError, SourceError
from streamseg.outputs import Recording, collect_recording
from streamseg.outputs.split import SPLIT_FORMATS, split_recording

RATE = 44100


@pytest.fixture(scope="module")
def ramp(tmp_path_factory) -> Path:
    """A minute of stereo in which every sample says where it stands, modulo 30,000."""
    path = tmp_path_factory.mktemp("split") / "my mix.wav"
    place = (np.arange(60 * RATE) % 30_000).astype(np.int16)
    soundfile.write(path, np.stack([place, -place], axis=1), RATE)
    return path


def probe(path: Path, entry: str) -> str:
    return subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", entry, "-of", "default=nw=1:nk=1", path],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.strip()


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_parts_joined_are_the_whole_sample_for_sample(ramp: Path, tmp_path: Path, suffix):
    sound = ramp
    if suffix == "flac":
        sound = tmp_path / "my mix.flac"
        soundfile.write(sound, *soundfile.read(ramp, dtype="int16"))
    parts = list(split_recording(sound, collect_recording(run(str(sound))), tmp_path / "out"))
    assert [part.path.name for part in parts] == ["1 A 1.flac", "2 B 1.flac", "3 A 2.flac", "4 C 1.flac"]
    joined = np.concatenate([soundfile.read(part.path, dtype="int16")[0] for part in parts])
    np.testing.assert_array_equal(joined, soundfile.read(ramp, dtype="int16")[0])


def test_without_the_right_to_make_symbolic_links(ramp: Path, tmp_path: Path, monkeypatch):
    """As on Windows, where they need a privilege."""

    def refuse(*_args, **_options):
        raise OSError("A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    parts = list(split_recording(ramp, collect_recording(run(str(ramp))), tmp_path, audio_format="wav"))
    joined = np.concatenate([soundfile.read(part.path, dtype="int16")[0] for part in parts])
    np.testing.assert_array_equal(joined, soundfile.read(ramp, dtype="int16")[0])


@pytest.mark.parametrize("audio_format", SPLIT_FORMATS)
def test_every_format_is_playable_tagged_and_adds_up(ramp: Path, tmp_path: Path, audio_format):
    parts = list(split_recording(ramp, collect_recording(run(str(ramp))), tmp_path, audio_format=audio_format))
    assert len(parts) == len(LABELS)
    decoded = [
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", part.path, "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"],
            capture_output=True,
            check=True,
            timeout=30,
        ).stdout
        for part in parts
    ]
    assert sum(len(sound) for sound in decoded) / 2 / RATE == pytest.approx(60, abs=0.05)
    entry = "stream_tags" if audio_format == "ogg" else "format_tags"  # Ogg tags its streams
    tags = probe(parts[2].path, f"{entry}=title,album,track").splitlines()
    assert {"A 2", "my mix"} < set(tags)
    assert "3/4" in tags or audio_format in ("wav", "flac", "ogg")  # those keep number and total apart


@pytest.mark.parametrize("codec", ["libmp3lame", "libvorbis"])
def test_lossy_sources_add_up_too(ramp: Path, tmp_path: Path, codec):
    sound = tmp_path / ("a.mp3" if codec == "libmp3lame" else "a.ogg")
    subprocess.run(["ffmpeg", "-v", "error", "-i", ramp, "-c:a", codec, sound], check=True, timeout=60)
    parts = list(split_recording(sound, collect_recording(run(str(sound))), tmp_path / "out"))
    assert sum(part.duration_s for part in parts) == pytest.approx(60, abs=0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pydub leaves the sound open then
@pytest.mark.parametrize("says", ["kill -SEGV $$", """echo '{"streams": [{"codec_type": "audio"}]}'"""])
def test_an_ffprobe_that_crashes_or_knows_little_is_a_failure_in_a_line(ramp: Path, tmp_path: Path, monkeypatch, says):
    probing = tmp_path / "ffprobe"
    probing.write_text(f"#!/bin/sh\n{says}\n")
    probing.chmod(0o755)
    recording = collect_recording(run(str(ramp)))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SourceError, match=r"my mix\.wav: cannot decode from 0\.00 s on"):
        list(split_recording(ramp, recording, tmp_path / "out"))


def test_never_holds_the_whole(ramp: Path, tmp_path: Path):
    """Ten minutes of WAV, a section a minute: several copies of a minute are fewer bytes than the file once."""
    long = tmp_path / "long.wav"
    minute = soundfile.read(ramp, dtype="int16")[0]
    with soundfile.SoundFile(long, "w", RATE, 2) as file:
        for _ in range(10):
            file.write(minute)
    whole = collect_recording(run(str(long))).sections[0]
    sections = tuple(
        dataclasses.replace(whole, section_id=str(n), start=n * 60.0, end=n * 60.0 + 60, occurrence=n)
        for n in range(10)
    )
    tracemalloc.start()
    try:
        parts = list(split_recording(long, Recording(str(long), sections), tmp_path / "out"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(part.duration_s for part in parts) == 600
    assert peak < 0.6 * long.stat().st_size


def test_a_folder_that_cannot_be(ramp: Path, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        next(split_recording(ramp, collect_recording(run(str(ramp))), tmp_path / "taken"))


def test_without_ffmpeg_it_says_what_to_install(ramp: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingLibraryError, match="apt install ffmpeg"):
        next(split_recording(ramp, collect_recording(run(str(ramp))), tmp_path / "out"))
