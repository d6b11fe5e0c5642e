"""Captures on full disks, of every channel count, and larger than a RIFF file may be."""

from pathlib import Path

import numpy as np
import soundfile
from full_disk import disk, fill

from streamseg.blocks import Block, Gap, Title
from streamseg.sources import AudioFileSource, CapturingSource, capture

RATE = 8_000


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
