"""What a user may write for a source; raw PCM; playback in real time; captures that replay."""

import io
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from streamseg.blocks import Block, Gap, SourceAway, Title
from streamseg.errors import NotAudioError, SourceNotFoundError, TruncatedSourceError, UsageError
from streamseg.sources import (
    AudioFileSource,
    CapturingSource,
    PlaybackSource,
    RawPcmSource,
    open_source,
    parse_source,
    playback,
)
from tools import sound_files as sound


def samples_of(items):
    return np.concatenate([item.samples for item in items if isinstance(item, Block)])


# --- what a user writes


@pytest.mark.parametrize(
    ("spec", "stream", "source"),
    [
        ("mic", "mic", "mic"),
        ("mic:USB = loud", "mic", "mic:USB = loud"),
        ("studio=mic:USB", "studio", "mic:USB"),
        ("-", "stdin", "-"),
        ("tape=-", "tape", "-"),
        ("/music/My Song (live).mp3", "My-Song-live", "/music/My Song (live).mp3"),
        ("a=/music/x=y.mp3", "a", "/music/x=y.mp3"),
        ("/music/x=y.mp3", "x-y", "/music/x=y.mp3"),
        ("日本.mp3", "stream", "日本.mp3"),
        ("a=", "a", "a="),
    ],
)
def test_a_spec_names_a_stream_and_a_source(spec, stream, source):
    assert parse_source(spec) == (stream, source)


def test_a_file_with_an_equals_sign_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b=c.wav").touch()
    assert parse_source("b=c.wav") == ("b-c", "b=c.wav")


def test_an_address_is_refused_with_what_can_be_had_instead():
    with pytest.raises(UsageError, match=r"http://.*file"):
        open_source("http://127.0.0.1:1/stream")


def test_a_missing_file_is_found_out_at_once():
    with pytest.raises(SourceNotFoundError):
        open_source("missing.mp3", live=True)


def test_without_portaudio_only_the_microphone_is_missing(tmp_path):
    """In a process of its own, where the system library cannot be found; and the package is named."""
    path = sound.write(tmp_path / "a.wav", sound.pulsed_noise(1.0))
    code = f"""
import ctypes.util
ctypes.util.find_library = lambda name: None
from streamseg.errors import MissingLibraryError
from streamseg.sources import open_source, list_devices
print(sum(len(item.samples) for item in open_source({str(path)!r})))
for ask in (lambda: open_source("mic"), list_devices):
    try:
        ask()
    except MissingLibraryError as error:
        print("libportaudio2" in str(error) and "brew install portaudio" in str(error))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["44100", "True", "True"], ran.stderr


def test_sounddevice_is_not_imported_before_a_microphone_is_asked_for():
    code = "import sys, streamseg.sources; print('sounddevice' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["False"], ran.stderr


# --- raw PCM


def piped(data, step=None, **flags):
    """The items of raw PCM that comes through a real pipe, `step` bytes at a time."""
    reading, writing = os.pipe()

    def feed():
        with os.fdopen(writing, "wb", buffering=0) as out:
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
        threading.Timer(0.2, source.close).start()
        assert list(items) == []  # although the pipe is still open


def test_raw_pcm_of_no_known_kind_is_refused():
    with pytest.raises(UsageError, match="s16le"):
        RawPcmSource(io.BytesIO(), sample_format="mp3")
    with pytest.raises(UsageError, match="0 channels"):
        RawPcmSource(io.BytesIO(), channels=0)


# --- playback


def scene(seconds=1.0, rate=8000):
    return Block(sound.pulsed_noise(seconds, rate), rate)


def test_playback_takes_as_long_as_the_sound_and_loses_nothing():
    block = scene(1.5)
    started = time.monotonic()
    arrivals, items = [], []
    for item in PlaybackSource([block], "x"):
        arrivals.append(time.monotonic() - started)
        items.append(item)
    np.testing.assert_array_equal(samples_of(items), block.samples)
    assert 1.4 < arrivals[-1] < 2.5
    due = 0.02 * np.arange(1, 1 + len(items))
    assert np.median(np.array(arrivals) - due) < 0.05
    assert abs(items[-1].captured_at - time.time()) < 1.0


def test_fast_playback_loses_nothing_to_a_slow_reader():
    block = scene(30.0)  # three times what the ring holds
    source = PlaybackSource([block], "x", fast=True)
    started = time.monotonic()
    items = []
    for item in source:
        items.append(item)
        if len(items) == 1:
            time.sleep(0.3)
    np.testing.assert_array_equal(samples_of(items), block.samples)
    assert source.dropped_samples == 0
    assert time.monotonic() - started < 10


def test_playback_to_a_reader_that_is_away_too_long_says_what_it_lost(monkeypatch):
    """Real time, like a card: a second passes, the ring holds half of one."""
    monkeypatch.setattr(playback, "RING_S", 0.5)
    block = scene(1.5)
    source = PlaybackSource([block], "x")
    items = iter(source)
    heard = [next(items)]
    time.sleep(1.0)
    heard += list(items)
    gaps = [item for item in heard if isinstance(item, Gap)]
    assert [gap.cause for gap in gaps] == ["overflow"]
    assert source.dropped_samples == gaps[0].missing_samples
    at = next(n for n, item in enumerate(heard) if isinstance(item, Gap))
    before, after = samples_of(heard[:at]), samples_of(heard[at:])
    np.testing.assert_array_equal(before, block.samples[: len(before)])
    np.testing.assert_array_equal(after, block.samples[len(before) + gaps[0].missing_samples :])


def test_what_is_no_sound_keeps_its_place():
    first, second = scene(0.5), scene(0.25)
    played = [
        Title("a"),
        first,
        Gap(80, "network"),
        SourceAway("gone"),
        SourceAway("", back=True, away_s=1.0),
        second,
        Title("b"),
    ]
    source = PlaybackSource(played, "x", fast=True)
    items = list(source)
    others = [(n, item) for n, item in enumerate(items) if not isinstance(item, Block)]
    assert [item for _, item in others] == [item for item in played if not isinstance(item, Block)]
    gap_at = others[1][0]
    assert len(samples_of(items[:gap_at])) == len(first.samples)
    assert source.dropped_samples == 80


def test_a_failure_of_the_file_comes_after_its_last_sound(tmp_path):
    path = sound.cut(sound.write(tmp_path / "a.flac", sound.pulsed_noise(4.0)))
    heard = []
    with pytest.raises(TruncatedSourceError):
        heard.extend(open_source(str(path), live=True, fast=True))
    assert len(samples_of(heard)) > 2 * sound.RATE


def test_closed_playback_ends_in_the_middle():
    source = PlaybackSource([scene(60.0)], "x")
    threading.Timer(0.3, source.close).start()
    started = time.monotonic()
    list(source)
    assert time.monotonic() - started < 2
    assert not [thread for thread in threading.enumerate() if thread.name == "play x"]


# --- captures


def test_a_capture_gives_the_very_samples_and_everything_between_them(tmp_path):
    first, second = scene(0.7), scene(0.4)
    first.samples[5] = np.float32(1e-40), np.float32(3.75)  # no rounding, no clipping
    given = [
        first,
        Gap(160, "overflow"),
        SourceAway("gone"),
        SourceAway("", back=True, away_s=0.5),
        Title("ü"),
        second,
        Title("z"),
    ]
    path = tmp_path / "capture.wav"
    passed = list(CapturingSource(PlaybackSource(given, "x", fast=True), path))
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
    list(CapturingSource(PlaybackSource([scene(0.1), Gap(3, "stalled"), scene(0.1)], "x", fast=True), path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["capture.wav", "capture.wav.marks.jsonl"]
    before = path.read_bytes()
    (tmp_path / "capture-2.wav.marks.jsonl").write_text("of a capture that was moved away")
    again = CapturingSource(PlaybackSource([scene(0.1)], "x", fast=True), path)
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
from streamseg.sources import PlaybackSource, CapturingSource
given = [Block(np.full((8000, 2), n / 64, np.float32), 8000) for n in range(60)]
for n, item in enumerate(CapturingSource(PlaybackSource(given, "x", fast=True), {str(path)!r})):
    if n == 2000:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], timeout=60)
    samples = samples_of(list(AudioFileSource(path)))
    assert len(samples) > 30 * 8000
    assert samples[8000 * 20, 0] == 20 / 64


def test_a_capture_goes_to_a_wav_in_a_folder_that_exists(tmp_path):
    with pytest.raises(UsageError, match=r"\.wav"):
        CapturingSource(PlaybackSource([], "x"), tmp_path / "capture.mp3")
    with pytest.raises(UsageError, match="no folder"):
        CapturingSource(PlaybackSource([], "x"), tmp_path / "nowhere" / "capture.wav")


def test_a_capture_that_cannot_be_written_is_said_and_the_sound_goes_on(tmp_path):
    """A process that may not write files of more than a megabyte, as on a full disk."""
    code = f"""
import resource
import numpy as np
from streamseg.blocks import Block
from streamseg.sources import PlaybackSource, CapturingSource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
given = [Block(np.zeros((8000, 2), np.float32), 8000) for n in range(60)]
recorded = CapturingSource(PlaybackSource(given, "x", fast=True), {str(tmp_path / "capture.wav")!r})
print(sum(len(item.samples) for item in recorded), recorded.failure)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert re.match(r"480000 the capture .*capture\.wav lacks 43\.\d s of sound", ran.stdout), ran.stderr
    assert ran.stderr.count("cannot be written (File too large)") == 1
    *heard, gap = list(AudioFileSource(tmp_path / "capture.wav"))
    assert len(samples_of(heard)) + gap.missing_samples == 480000
