"""Files: every format people have, cut ones told from whole ones, and nothing that is not sound taken for it."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from streamseg.blocks import Block
from streamseg.errors import NotAudioError, SourceError, SourceNotFoundError, TruncatedSourceError
from streamseg.sources import AudioFileSource
from tools import sound_files as sound

SECONDS = 6.0
WHOLE = [
    ("a.wav", {}),
    ("a.w64", {}),
    ("a.aiff", {}),
    ("a.flac", {}),
    ("a.mp3", {}),
    ("plain.mp3", {"write_xing": 0}),
    ("a.m4a", {}),
    ("front.m4a", {"movflags": "faststart"}),
    ("a.aac", {}),
    ("a.opus", {}),
    ("a.ogg", {}),
]


def heard(path):
    """All samples of a file, its rate, and how it ended."""
    blocks, failure = [], None
    try:
        for item in AudioFileSource(path):
            assert isinstance(item, Block)
            assert item.samples.dtype == np.float32
            assert item.samples.flags.c_contiguous
            blocks.append(item)
    except SourceError as error:
        failure = error
    samples = np.concatenate([block.samples for block in blocks]) if blocks else np.zeros((0, 1), np.float32)
    return samples, blocks[0].sample_rate if blocks else 0, failure


@pytest.fixture(scope="module")
def made():
    return sound.pulsed_noise(SECONDS)


@pytest.fixture(params=WHOLE, ids=lambda case: case[0])
def whole(request, tmp_path, made):
    name, options = request.param
    rate = 48_000 if name.endswith("opus") else sound.RATE
    samples = sound.pulsed_noise(SECONDS, rate) if rate != sound.RATE else made
    return sound.write(tmp_path / name, samples, rate, **options)


def test_a_whole_file_is_heard_whole_and_without_complaint(whole, capfd):
    samples, rate, failure = heard(whole)
    assert failure is None
    assert samples.shape[1] == 2
    assert abs(len(samples) / rate - SECONDS) < 0.12  # encoder delay, where the format does not tell it
    assert capfd.readouterr() == ("", "")


def test_a_cut_file_is_heard_as_far_as_it_goes_and_then_reported(whole, capfd):
    samples, rate, failure = heard(sound.cut(whole))
    assert isinstance(failure, TruncatedSourceError), failure
    assert "cut-" in str(failure)
    assert failure.exit_code == 1
    if whole.name != "a.m4a":  # its index stands at the end: nothing can be read without
        assert 0.45 * SECONDS < len(samples) / rate < 0.8 * SECONDS
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_lossless_is_lossless(tmp_path, made, name):
    samples, _, _ = heard(sound.write(tmp_path / name, made))
    expected, _ = soundfile.read(tmp_path / name, dtype="float32")
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(8000, 1, "PCM_U8"), (192_000, 2, "PCM_24"), (48_000, 32, "FLOAT")]
)
def test_any_rate_any_channels_any_depth(tmp_path, rate, channels, subtype):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.random.default_rng(3).uniform(-1, 1, (rate, channels)), rate, subtype=subtype)
    samples, heard_rate, failure = heard(path)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert (heard_rate, failure) == (rate, None)
    np.testing.assert_allclose(samples, expected, atol=1e-7)


def test_tags_covers_and_rubbish_at_the_end_are_no_cut(tmp_path, made):
    for name, options in (("a.mp3", {}), ("b.mp3", {"write_xing": 0})):
        path = sound.write(tmp_path / name, made, **options)
        data = path.read_bytes()
        path.write_bytes(data + b"APETAGEX" + bytes(300) + b"TAG" + b"x" * 125)
        assert heard(path)[2] is None


def test_a_piped_wav_whose_header_promises_everything_is_whole(tmp_path, made):
    path = sound.write(tmp_path / "a.wav", made)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    samples, _, failure = heard(path)
    assert failure is None
    assert len(samples) == len(made)


def test_damage_in_the_middle_is_passed_over(tmp_path, made):
    path = sound.write(tmp_path / "a.mp3", made)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = np.random.default_rng(5).bytes(1500)
    path.write_bytes(data)
    samples, rate, failure = heard(path)
    assert failure is None
    assert len(samples) / rate > SECONDS - 0.5


def test_a_stream_that_changes_its_channels_keeps_the_first_ones(tmp_path, made):
    """A recorded broadcast goes from mono news to stereo music without a new header."""
    mono = sound.write(tmp_path / "mono.aac", made[:, :1])
    stereo = sound.write(tmp_path / "stereo.aac", made)
    both = tmp_path / "both.aac"
    both.write_bytes(mono.read_bytes() + stereo.read_bytes())
    samples, rate, failure = heard(both)
    assert failure is None
    assert samples.shape[1] == 1
    assert abs(len(samples) / rate - 2 * SECONDS) < 0.3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zero.wav", b""),
        ("empty.wav", None),
        ("text.mp3", b"hello, I am a shopping list\n" * 50),
        ("noise.mp3", np.random.default_rng(1).bytes(50_000)),
        ("noise.flac", np.random.default_rng(2).bytes(50_000)),
    ],
)
def test_what_is_no_sound_is_called_so(tmp_path, name, content, capfd):
    path = tmp_path / name
    if content is None:
        soundfile.write(path, np.zeros((0, 1)), 44_100)
    else:
        path.write_bytes(content)
    with pytest.raises(NotAudioError, match=name):
        list(AudioFileSource(path))
    assert capfd.readouterr() == ("", "")


def test_a_film_without_sound(tmp_path):
    import av

    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=64, height=64)
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(NotAudioError, match="holds no sound"):
        list(AudioFileSource(path))


def test_what_is_not_there_is_asked_wrongly(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"missing\.mp3") as raised:
        AudioFileSource(tmp_path / "missing.mp3")
    assert raised.value.exit_code == 2
    with pytest.raises(SourceNotFoundError, match="folder"):
        AudioFileSource(tmp_path)


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path, made, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sound.write(tmp_path / "a.wav", made).rename(tmp_path / "concat:a.wav")
    assert len(heard("concat:a.wav")[0]) == len(made)


def test_close_ends_it(tmp_path, made):
    source = AudioFileSource(sound.write(tmp_path / "a.wav", made))
    blocks = iter(source)
    next(blocks)
    source.close()
    assert len(list(blocks)) <= 1


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Fifteen minutes of stereo would be 318 MB as samples. In a process of its own, whose peak is its own."""
    second = sound.pulsed_noise(1.0)
    for name, seconds in (("short.flac", 30), ("long.flac", 900)):
        with soundfile.SoundFile(tmp_path / name, "w", sound.RATE, 2) as file:
            for _ in range(seconds):
                file.write(second)
    code = """
import resource
from streamseg.sources import AudioFileSource
for name in ("short.flac", "long.flac"):
    print(sum(len(item.samples) for item in AudioFileSource(name)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    _, short_peak_kb, heard_samples, long_peak_kb = map(int, ran.stdout.split())
    assert heard_samples == 900 * sound.RATE
    assert long_peak_kb - short_peak_kb < (10_000 if sys.platform == "linux" else 10_000_000)  # macOS counts bytes
