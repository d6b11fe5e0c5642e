"""Captures: the very samples, and all that lay between them, can be replayed."""

import re
import subprocess
import sys

import numpy as np
import pytest
from source_items import samples_of, scene

from streamseg.blocks import Block, Gap, SourceAvailabilityChange, Title
from streamseg.errors import UsageError
from streamseg.sources import AudioFileSource, CapturingSource, PacedSource


def test_a_capture_gives_the_very_samples_and_everything_between_them(tmp_path):
    first, second = scene(0.7), scene(0.4)
    first.samples[5] = np.float32(1e-40), np.float32(3.75)  # no rounding, no clipping
    given = [
        first,
        Gap(160, "overflow"),
        SourceAvailabilityChange("gone"),
        SourceAvailabilityChange("", back=True, away_s=0.5),
        Title("ü"),
        second,
        Title("z"),
    ]
    path = tmp_path / "capture.wav"
    passed = list(CapturingSource(PacedSource(given, "x", fast=True), path))
    again = AudioFileSource(path)
    replayed = list(again)
    np.testing.assert_array_equal(samples_of(replayed), samples_of(passed))

    def places(items):
        position, found = 0, []
        for item in items:
            if isinstance(item, Block):
                position += len(item.samples)
            else:
                found.append((position, item))
        return found

    assert places(replayed) == places(passed) == places(given)
    assert again.dropped_samples == 160


def test_a_capture_never_overwrites_another_and_has_marks_only_of_its_own(tmp_path):
    path = tmp_path / "capture.wav"
    list(CapturingSource(PacedSource([scene(0.1), Gap(3, "stalled"), scene(0.1)], "x", fast=True), path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["capture.wav", "capture.wav.marks.jsonl"]
    before = path.read_bytes()
    (tmp_path / "capture-2.wav.marks.jsonl").write_text("of a capture that was moved away")
    again = CapturingSource(PacedSource([scene(0.1)], "x", fast=True), path)
    list(again)
    assert path.read_bytes() == before
    made = {file.name for file in tmp_path.iterdir()} - {"capture.wav", "capture.wav.marks.jsonl"}
    assert made == {"capture-2.wav.marks.jsonl", "capture-3.wav"}
    assert len(samples_of(AudioFileSource(tmp_path / "capture-3.wav"))) == len(scene(0.1).samples)


def test_a_capture_cut_short_by_a_kill_can_still_be_heard(tmp_path):
    path = tmp_path / "capture.wav"
    code = f"""
import os, signal
import numpy as np
from streamseg.blocks import Block
from streamseg.sources import PacedSource, CapturingSource
given = [Block(np.full((8000, 2), n / 64, np.float32), 8000) for n in range(60)]
for n, item in enumerate(CapturingSource(PacedSource(given, "x", fast=True), {str(path)!r})):
    if n == 2000:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], timeout=60)
    samples = samples_of(list(AudioFileSource(path)))
    assert len(samples) > 30 * 8000
    assert samples[8000 * 20, 0] == 20 / 64


def test_a_capture_goes_to_a_wav_in_a_folder_that_exists(tmp_path):
    with pytest.raises(UsageError, match=r"\.wav"):
        CapturingSource(PacedSource([], "x"), tmp_path / "capture.mp3")
    with pytest.raises(UsageError, match="no folder"):
        CapturingSource(PacedSource([], "x"), tmp_path / "nowhere" / "capture.wav")


def test_a_capture_that_cannot_be_written_is_said_and_the_sound_goes_on(tmp_path):
    """A process that may not write files of more than a megabyte, as on a full disk."""
    code = f"""
import resource
import numpy as np
from streamseg.blocks import Block
from streamseg.sources import PacedSource, CapturingSource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
given = [Block(np.zeros((8000, 2), np.float32), 8000) for n in range(60)]
recorded = CapturingSource(PacedSource(given, "x", fast=True), {str(tmp_path / "capture.wav")!r})
print(sum(len(item.samples) for item in recorded), recorded.failure)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert re.match(r"480000 the capture .*capture\.wav lacks 43\.\d s of sound", ran.stdout), ran.stderr
    assert ran.stderr.count("cannot be written (File too large)") == 1
    *heard, gap = list(AudioFileSource(tmp_path / "capture.wav"))
    assert len(samples_of(heard)) + gap.missing_samples == 480000
