"""What a newcomer tries first is either done or refused with what to do instead."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamseg.cli.options import choose_format
from streamseg.errors import UsageError
from tools.command import run, start

RATE = 22_050


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("noise") / "noise.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8 * RATE), RATE)
    return path


@pytest.mark.parametrize(
    ("given", "out", "chosen"),
    [
        (None, None, "jsonl"),
        (None, "night", "jsonl"),
        (None, "night.jsonl", "jsonl"),
        (None, "night.json", "jsonl"),
        (None, "night.ndjson", "jsonl"),
        (None, "night.CUE", "cue"),
        (None, "night.txt", "audacity"),
        (None, "night.vtt", "webvtt"),
        ("jsonl", "night.cue", "jsonl"),
        ("csv", "night.png", "csv"),
    ],
)
def test_the_ending_chooses_the_format_that_was_not_given(given, out, chosen):
    assert choose_format(given, out and Path(out)) == chosen


@pytest.mark.parametrize("out", ["night.png", "night.mp3"])
def test_an_ending_of_no_format_is_refused(out):
    with pytest.raises(UsageError, match=rf"{out}.*--format \(jsonl.*\.cue"):
        choose_format(None, Path(out))


def test_analyze_writes_what_the_ending_says(noise: Path, tmp_path: Path):
    assert run("analyze", noise, "-o", tmp_path / "noise.cue").returncode == 0
    assert (tmp_path / "noise.cue").read_text() == run("analyze", noise, "--format", "cue").stdout
    refused = run("analyze", noise, "-o", tmp_path / "noise.png")
    assert refused.returncode == 2, refused.stderr
    assert not (tmp_path / "noise.png").exists()


def test_one_part_is_one_file(noise: Path, tmp_path: Path):
    assert "\n1 file, 0:08.0 in all" in run("split", noise, "-o", tmp_path / "parts").stderr


def test_splitting_standard_input_is_refused(tmp_path: Path):
    done = run("split", "-", "-o", tmp_path / "parts")
    assert done.returncode == 2
    assert "`-` is standard input; splitting reads a sound twice" in done.stderr


def test_watching_what_is_over_or_has_not_begun_says_so(noise: Path, tmp_path: Path):
    text = tmp_path / "text.wav"
    text.write_text("no sound\n" * 100)
    arguments = (f"over={noise}", f"none={text}", "--fast", "--stay", "--no-history", "--port", "0")
    with start("serve", *arguments) as serving:
        address = serving.wait_for_address()
        serving.wait_for_message("every source has ended")
        watched = run("watch", address, "--until-stopped", "--stream", "over")
        assert watched.returncode == 0
        assert "over: has already stopped" in watched.stderr
        with start("watch", address, "--until-stopped", "--stream", "none") as watching:
            watching.wait_for_message("none: has no sound yet; waiting for it")
