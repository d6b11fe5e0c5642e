"""Raw PCM: sample formats, pieces of any size, and ends within a frame."""

import contextlib
import io
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from source_items import samples_of

from streamseg.errors import NotAudioError, SourceError, TruncatedSourceError, UsageError
from streamseg.sources import RawPcmSource
from tools.command import PATIENCE_S, command


def piped(data, step=None, **flags):
    """The items of raw PCM that comes through a real pipe, `step` bytes at a time."""
    reading, writing = os.pipe()

    def feed():
        # a source that refuses the sound closes its end while we write
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as out:
            for start in range(0, len(data), step or len(data) or 1):
                out.write(data[start : start + (step or len(data))])

    feeder = threading.Thread(target=feed)
    feeder.start()
    items, failure = [], None
    try:
        with os.fdopen(reading, "rb", buffering=0) as stream:
            items.extend(RawPcmSource(stream, **flags))
    except (TruncatedSourceError, NotAudioError) as error:
        failure = error
    feeder.join()
    return items, failure


@pytest.mark.parametrize("step", [None, 1, 7, 4096])
@pytest.mark.parametrize("sample_format", ["s16le", "s24le", "s32le", "f32le"])
def test_raw_pcm_means_what_it_says(sample_format, step):
    expected = np.array([[0.0, 0.5], [-1.0, 0.25], [0.999969482421875, -0.25]], np.float32)
    if step == 4096:
        expected = np.tile(expected, (3000, 1))
    full = {"s16le": 1 << 15, "s24le": 1 << 23, "s32le": 1 << 31, "f32le": 1}[sample_format]
    if sample_format == "f32le":
        data = expected.astype("<f4").tobytes()
    else:
        whole = (expected.astype(np.float64) * full).astype(np.int64)
        width = int(sample_format[1:3]) // 8
        data = whole.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    items, failure = piped(data, step, sample_rate=8000, sample_format=sample_format)
    assert failure is None
    assert {item.sample_rate for item in items} == {8000}
    np.testing.assert_array_equal(samples_of(items), expected)


def test_raw_pcm_that_ends_inside_a_frame_is_truncated():
    items, failure = piped(np.zeros(7, "<i2").tobytes())
    assert len(samples_of(items)) == 3
    assert isinstance(failure, TruncatedSourceError)
    assert "2 bytes" in str(failure)
    assert "channels" in str(failure)


def test_no_raw_pcm_at_all_is_no_sound():
    items, failure = piped(b"")
    assert items == []
    assert isinstance(failure, NotAudioError)


def test_raw_pcm_comes_as_it_comes_and_ends_when_closed():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as stream, os.fdopen(writing, "wb", buffering=0) as out:
        source = RawPcmSource(stream, channels=1)
        items = iter(source)
        out.write(bytes(200))
        asked = time.time()
        block = next(items)
        assert len(block.samples) == 100
        assert abs(block.captured_at - asked) < 0.5
        closing = threading.Timer(0.2, source.close)
        closing.start()
        assert list(items) == []  # although the pipe is still open
        closing.join()


def test_raw_pcm_of_no_known_kind_is_refused():
    with pytest.raises(UsageError, match="s16le"):
        RawPcmSource(io.BytesIO(), sample_format="mp3")
    with pytest.raises(UsageError, match="0 channels"):
        RawPcmSource(io.BytesIO(), channels=0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals and named pipes")
@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("analyze", "-"), "`serve` has --sample-format, --channels"),
        (("serve", "--no-history", "--port", "0", "-"), "do --channels and --sample-format"),
    ],
)
def test_raw_pcm_that_does_not_fit_names_options_that_exist(arguments, advice):
    done = subprocess.run(command(*arguments), input=bytes(40_001), capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert advice in done.stderr.decode()


def test_raw_pcm_in_python_is_told_its_parameters(tmp_path):
    (tmp_path / "odd").write_bytes(bytes(7))
    with (tmp_path / "odd").open("rb") as stream, pytest.raises(SourceError, match="do channels and sample_format"):
        list(RawPcmSource(stream))


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "a WAV"),
        (b"FORM\0\1\2\3AIFFCOMM", "an AIFF"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "a WebM or Matroska"),
        (b"fLaC\0\0\0\x22", "a FLAC"),
        (b"OggS\0\2", "an Ogg"),
        (b"ID3\4\0\0\0\0\0\x23TSSE", "a tagged MP3 or other"),
        (b"\0\0\0\x1cftypM4A ", "an MP4"),
    ],
)
def test_a_file_of_another_format_is_not_heard_as_pcm(start, kind, step):
    items, failure = piped(start + bytes(100), step, sample_rate=8000)
    assert not items
    assert f"standard input is {kind} file, but `-` takes raw PCM" in str(failure)
    assert "ffmpeg -i - -f s16le -ac 2 -ar 8000 -" in str(failure)


@pytest.mark.parametrize(
    "start", [b"RIFF\0\0\0\0\0\0\0\0", b"\xff\xfb\x90\x64", b"ID3\xff", b"fLaX", b"\0ftyp", b"\0" * 4]
)
def test_sound_that_resembles_another_format_is_heard(start):
    data = start + bytes(20 - len(start))
    items, failure = piped(data)
    assert failure is None
    assert len(samples_of(items)) == 5
