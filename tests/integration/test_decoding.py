"""The decoding child: what once ended the program now ends one stream, with what came before and a reason."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamseg.blocks import Block, SourceAway
from streamseg.cli import serving
from streamseg.errors import NotAudioError, SourceError, SourceNotFoundError
from streamseg.live.session import Session
from streamseg.settings import make_settings
from streamseg.sources import AudioFileSource, PlaybackSource, RawPcmSource
from streamseg.sources.decoder import DecoderProcess
from streamseg.wire.envelope import encode_envelope
from streamseg.wire.events import StreamLost, StreamStopped
from tools import sound_files as sound
from tools.command import PATIENCE_S, command, start
from tools.hostile.files import Corpus

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, or at names that only Linux allows")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and named pipes")
ONCE_CRASHED = (3, 5, 30, 33, 56, 59, 81, 86, 104, 2379)  # numbers of mutants, seed 1, that ended the program
GENEROUS_S = 20.0  # for what takes milliseconds on a machine that does nothing else


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def minute(tmp_path_factory) -> Path:
    """A minute of sound: more than the decoder reads ahead."""
    return sound.write(tmp_path_factory.mktemp("minute") / "minute.flac", np.tile(sound.pulsed_noise(4.0), (15, 1)))


def heard(source):
    """All items of a source and its failure."""
    items, failure = [], None
    try:
        items.extend(source)  # which keeps what came before a failure
    except SourceError as error:
        failure = error
    return items, failure


def samples_of(items):
    return np.concatenate([item.samples for item in items if isinstance(item, Block)])


# --- what changes midway


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("stereo.mp3", "mono.mp3"),
        ("stereo.mp2", "mono.mp2"),
        ("six.aac", "stereo.aac"),
        ("stereo.latm", "mono.latm"),
        ("six.ac3", "stereo.ac3"),
        ("six.dts", "stereo.dts"),
        ("six.ts", "stereo.ts"),
        ("stereo.aac", "slow.aac"),
    ],
)
def test_channels_layout_and_rate_may_change_midway(tmp_path, corpus, first, second):
    path = tmp_path / first
    path.write_bytes(corpus.content(first))
    whole, _ = heard(AudioFileSource(path))
    path.write_bytes(corpus.content(first) + corpus.content(second))
    joined, failure = heard(AudioFileSource(path))
    assert failure is None
    assert {(item.sample_rate, item.samples.shape[1]) for item in joined} == {
        (whole[0].sample_rate, whole[0].samples.shape[1])
    }
    assert len(samples_of(joined)) == pytest.approx(2 * len(samples_of(whole)), rel=0.1)
    after = samples_of(joined)[len(samples_of(whole)) * 3 // 2 :]
    assert 0.02 < np.sqrt(np.mean(after[:, 0] ** 2)) < 0.5  # the same sound, not what lay in memory
    assert np.abs(after).max() < 2


def test_channels_without_names_keep_their_numbers(tmp_path):
    """FFmpeg does not know where to put stereo among "9 channels"."""
    from av.audio.frame import AudioFrame

    from streamseg.decoding.converter import SampleConverter

    converter = SampleConverter()

    def pushed(values, layout):
        samples = np.tile(np.float32(values), (8000, 1))
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = 8000
        return b"".join(bytes(part) for part in converter.push(frame))

    data = pushed(range(9), "9 channels") + pushed([6, 7], "stereo") + pushed([8], "mono")
    data += b"".join(bytes(part) for part in converter.finish())
    rows = np.unique(np.frombuffer(data, np.float32).reshape(-1, 9), axis=0)
    assert rows.tolist() == [list(range(9)), [6, 7, *[0] * 7], [8] * 9]


def test_what_once_crashed_or_hung(tmp_path, corpus):
    """Mutants of `tools.hostile.decoder` that ended the program with SIGSEGV, and some of every kind."""
    for number in ONCE_CRASHED:
        name, data = corpus.mutant(1, number)
        (tmp_path / name).write_bytes(data)
        items, failure = heard(AudioFileSource(tmp_path / name))
        assert "cannot be decoded: " not in str(failure)  # a fault of ours
        for item in items:
            assert isinstance(item, Block), name


# --- lists of other places


@pytest.mark.parametrize("name", ["self.m3u8", "self.mp3"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{self}\n", "playlist"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n", "playlist"),
        ("ffconcat version 1.0\nfile '{other}'\n", "list of files"),
        ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n", "session"),
        ("<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>", "DASH"),
    ],
)
def test_lists_of_other_places_are_refused(tmp_path, corpus, name, text, kind):
    (tmp_path / "other.mp3").write_bytes(corpus.content("stereo.mp3"))
    (tmp_path / name).write_text(text.format(self=name, other="other.mp3"))
    with pytest.raises(NotAudioError, match=rf"{name} is .*{kind}"):
        list(AudioFileSource(tmp_path / name))


# --- limits


@LINUX
def test_memory_is_limited(tmp_path, corpus):
    """An MP3 followed by zeros made FFmpeg's parser collect them all; with too little memory it gives up early."""
    path = tmp_path / "zeros.mp3"
    path.write_bytes(corpus.content("stereo.mp3"))
    os.truncate(path, 150 << 20)
    code = f"""
import resource
from pathlib import Path
from streamseg.errors import SourceError
from streamseg.sources.decoder import DecoderProcess
decoder = DecoderProcess(Path({str(path)!r}), "zeros", memory_bytes=64 << 20)
try:
    print(sum(len(block.samples) for block in decoder))
except SourceError as failure:
    print(failure)
decoder.free_resources()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    *_, peak_mb = ran.stdout.split()
    assert int(peak_mb) < 64 + 50


@LINUX
def test_too_little_memory_is_said(tmp_path):
    path = tmp_path / "wide.flac"
    soundfile.write(path, np.random.default_rng(1).uniform(-1, 1, (192_000, 8)), 192_000)
    decoder = DecoderProcess(path, "wide", memory_bytes=32 << 20)
    items, failure = heard(decoder)
    decoder.free_resources()
    assert "wide needs more than 32 MiB of memory to be decoded" in str(failure)
    assert items[-1] == SourceAway("the source needs more than 32 MiB of memory to be decoded")
    assert len(samples_of(AudioFileSource(path))) == 192_000


@LINUX
def test_a_lower_limit_of_the_users_own_holds(tmp_path):
    path = sound.write(tmp_path / "short.wav", sound.pulsed_noise(0.3))
    code = "import resource, sys; from streamseg.sources.audio_file import AudioFileSource; "
    code += "resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20)); "
    code += "print(sum(len(block.samples) for block in AudioFileSource(sys.argv[1])))"
    ran = subprocess.run([sys.executable, "-c", code, path], capture_output=True, timeout=60)
    assert int(ran.stdout or 0) == round(0.3 * sound.RATE), ran.stderr


def test_a_file_that_is_deleted_meanwhile_is_said_to_be_gone(tmp_path):
    decoder = DecoderProcess(tmp_path / "gone.wav", "gone.wav")
    items, failure = heard(decoder)
    decoder.free_resources()
    assert items == []
    assert str(failure) == "gone.wav has been deleted or renamed meanwhile"


@POSIX
def test_a_decoder_that_works_without_giving_sound_is_ended(tmp_path, corpus):
    path = tmp_path / "zeros.mp3"
    path.write_bytes(corpus.content("stereo.mp3"))
    os.truncate(path, 2 << 30)
    decoder = DecoderProcess(path, "zeros", cpu_s=1)
    items, failure = heard(decoder)
    decoder.free_resources()
    assert "zeros kept its decoder busy for 1 s without giving any sound at 1." in str(failure)
    assert isinstance(items[-1], SourceAway)
    assert len(samples_of(items)) > sound.RATE


@POSIX
@pytest.mark.parametrize(("what", "kind"), [("bytearray(90 << 20)", "out-of-memory"), ("0", "spinning")])
def test_where_the_kernel_does_not_watch_a_thread_does(what, kind):
    code = f"""
import sys
from streamseg.decoding.limits import ResourceLimiter
limits = ResourceLimiter(64 << 20, 1, lambda kind: print(kind, flush=True), by_kernel=False)
big = {what}
while True:
    pass
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == [kind]
    assert ran.returncode == 1


def test_absurd_rates_are_refused(tmp_path):
    path = tmp_path / "fast.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 2_000_000_000, 0, "NONE", ""))
        file.writeframes(bytes(10_000))
    with pytest.raises(SourceError, match="2,000,000,000 Hz"):
        list(AudioFileSource(path))


@LINUX
def test_a_child_is_small_and_loads_nothing_else(tmp_path, minute):
    decoder = DecoderProcess(minute, "minute")
    items = iter(decoder)
    next(items)
    lines = Path(f"/proc/{decoder.pid}/smaps_rollup").read_text().splitlines()
    maps = Path(f"/proc/{decoder.pid}/maps").read_text()
    items.close()
    decoder.free_resources()
    assert sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) < 30_000
    assert "numpy" not in maps
    assert "msgspec" not in maps


# --- crashes and ends


@POSIX
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_is_the_streams_error_after_everything_before(minute, number):
    decoder = DecoderProcess(minute, "minute")

    def until_killed():
        for count, item in enumerate(decoder, 1):
            yield item
            if count == 3:
                os.kill(decoder.pid, number)

    items, failure = heard(until_killed())
    decoder.free_resources()
    assert re.match(rf"minute crashed its decoder \({number.name}\) at \d+\.\d s; everything before", str(failure))
    whole, _ = heard(AudioFileSource(minute))
    assert items[-1] == SourceAway(f"the source crashed its decoder ({number.name})")
    got = samples_of(items)
    assert 3 <= len(items) - 1 < 12  # what had been read ahead is given
    np.testing.assert_array_equal(got, samples_of(whole)[: len(got)])


@POSIX
def test_ctrl_c_in_the_terminal_does_not_reach_the_child(minute):
    decoder = DecoderProcess(minute, "minute")
    items = []
    for item in decoder:
        items.append(item)
        if len(items) == 2:
            os.kill(decoder.pid, signal.SIGINT)
    decoder.free_resources()
    assert len(samples_of(items)) == 60 * sound.RATE


@POSIX
def test_one_stream_crashes_and_the_other_loses_nothing(tmp_path, minute):
    """Both under the live path, as `serve --fast` plays them."""
    settings = make_settings("music")

    def good():
        return Session("good", PlaybackSource(AudioFileSource(minute), "good", fast=True), settings)

    alone = [(e.type, e.data) for envelopes in good() for e in envelopes if not isinstance(e.data, StreamStopped)]
    bad_file = AudioFileSource(minute)
    bad = Session("bad", PlaybackSource(bad_file, "bad", fast=True), settings)
    other = good()
    told = {"bad": [], "good": []}

    def tell(hearing, envelopes):
        if hearing is bad and envelopes and not told["bad"]:
            for decoder in bad_file._active_decoders:
                os.kill(decoder.pid, signal.SIGSEGV)
        told[hearing.stream] += envelopes

    serving.run_sessions([bad, other], tell, None)
    assert other.failure is None
    assert "SIGSEGV" in str(bad.failure)
    assert bad.failure.exit_code == 1
    lost = [e.data.reason for e in told["bad"] if isinstance(e.data, StreamLost)]
    assert lost == ["the source crashed its decoder (SIGSEGV)"]
    assert [(e.type, e.data) for e in told["good"] if not isinstance(e.data, StreamStopped)] == alone
    end = told["good"][-1].data
    assert (end.reason, end.totals["heard_s"], end.totals["missing_s"]) == ("end", 60.0, 0.0)
    assert told["bad"][-1].data.reason == "failed"


@LINUX
def test_the_child_ends_with_its_parent(tmp_path):
    """Even while it waits for a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "pipe")
    code = f"""
import time
from pathlib import Path
from streamseg.sources.decoder import DecoderProcess
decoder = DecoderProcess(Path({str(tmp_path / "pipe")!r}), "pipe")
print(decoder.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        while b"decoding" not in Path(f"/proc/{child}/cmdline").read_bytes():
            time.sleep(0.01)
        parent.kill()
    deadline = time.monotonic() + GENEROUS_S
    while Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.02)


@POSIX
@pytest.mark.parametrize("live_", [False, True])
def test_a_silent_pipe_can_be_closed(tmp_path, live_):
    os.mkfifo(tmp_path / "pipe")
    source = AudioFileSource(tmp_path / "pipe")
    played = PlaybackSource(source, "pipe") if live_ else source
    threading.Timer(0.3, played.close).start()
    began = time.monotonic()
    assert list(played) == []
    assert time.monotonic() - began < GENEROUS_S


@POSIX
def test_ctrl_c_ends_analyze_of_a_pipe_that_has_fallen_silent(tmp_path):
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    sound.write(tmp_path / "a.wav", sound.pulsed_noise(8.0))
    with start("analyze", pipe) as running, pipe.open("wb") as out:
        out.write((tmp_path / "a.wav").read_bytes()[:1_200_000])
        out.flush()
        assert json.loads(running.process.stdout.readline())["type"] == "streamseg.stream.started.v1"
        began = time.monotonic()
        code, said, messages = running.stop()
        assert time.monotonic() - began < GENEROUS_S
    assert code == 1
    assert "stopped at 0:0" in messages
    assert json.loads(said.splitlines()[-1])["data"]["reason"] == "stopped"


def test_what_was_never_iterated_leaves_nothing(tmp_path, minute):
    source = AudioFileSource(minute)
    process = source._first_decoder._process
    del source
    assert process.poll() is not None


def test_what_is_closed_before_it_is_iterated_leaves_no_process(minute):
    source = AudioFileSource(minute)
    process = source._first_decoder._process
    source.close()
    assert process.wait(GENEROUS_S) != 0
    assert list(source) == []


def test_a_file_may_be_iterated_again(minute):
    source = AudioFileSource(minute)
    first, second = heard(source), heard(source)
    np.testing.assert_array_equal(samples_of(first[0]), samples_of(second[0]))


# --- names and tags


@pytest.mark.parametrize("name", ["stereo.mp3", "s16.wav", "s16.aiff", "stereo.flac", "aac.m4a", "aac.mka"])
def test_tags_that_are_not_utf_8_open(tmp_path, corpus, name):
    from tools.hostile.files import RUDE, TITLE

    content = corpus.content(name)
    assert TITLE.encode() in content
    path = tmp_path / name
    path.write_bytes(content.replace(TITLE.encode(), RUDE))
    items, failure = heard(AudioFileSource(path))
    assert failure is None
    assert len(items) > 0


@LINUX
def test_file_names_that_are_not_utf_8(tmp_path, corpus):
    name = os.fsdecode(b"caf\xe9\xff.mp3")
    (tmp_path / name).write_bytes(corpus.content("stereo.mp3"))
    hearing = Session("x", AudioFileSource(tmp_path / name), make_settings("music"))
    said = [encode_envelope(envelope) for envelopes in hearing for envelope in envelopes]
    assert hearing.failure is None
    assert json.loads(said[0])["data"]["source"].endswith("caf\ufffd\ufffd.mp3")
    with pytest.raises(SourceNotFoundError, match=re.escape("no file '\ufffd.mp3'")):
        AudioFileSource(os.fsdecode(b"\xe9.mp3"))


@POSIX
def test_standard_input_and_a_shells_substitution_are_files(tmp_path, minute):
    code = "import sys; from streamseg.sources import AudioFileSource; "
    code += "print(sum(len(block.samples) for block in AudioFileSource(sys.argv[1])))"
    (tmp_path / "link.mp3").symlink_to("/dev/stdin")
    (tmp_path / "descriptors").symlink_to("/dev/fd")
    (tmp_path / "second link").symlink_to("descriptors/0")
    for name in ("/dev/stdin", tmp_path / "link.mp3", tmp_path / "second link"):
        with minute.open("rb") as file:
            ran = subprocess.run([sys.executable, "-c", code, name], stdin=file, capture_output=True, timeout=60)
        assert int(ran.stdout) == 60 * sound.RATE
    with minute.open("rb") as file, subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat:
        line = [sys.executable, "-c", code, tmp_path / "link.mp3"]
        ran = subprocess.run(line, stdin=cat.stdout, capture_output=True, timeout=60)
    assert int(ran.stdout) == 60 * sound.RATE
    reading, writing = os.pipe()
    short = sound.write(tmp_path / "short.wav", sound.pulsed_noise(0.3)).read_bytes()

    def write():
        with os.fdopen(writing, "wb") as out:
            out.write(short)

    threading.Thread(target=write).start()
    ran = subprocess.run(
        [sys.executable, "-c", code, f"/dev/fd/{reading}"], pass_fds=(reading,), capture_output=True, timeout=60
    )
    os.close(reading)
    assert int(ran.stdout) == round(0.3 * sound.RATE)


# --- what raw PCM is told


@POSIX
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
