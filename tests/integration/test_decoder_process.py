"""The decoding child crashes, is interrupted or closed: one stream ends, with what came before and a reason."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from integration.decoder_items import LINUX, POSIX, heard
from source_items import samples_of

from streamseg.blocks import SourceAvailabilityChange
from streamseg.cli import serving
from streamseg.live.session import Session
from streamseg.settings import make_settings
from streamseg.sources import AudioFileSource, PacedSource
from streamseg.sources.decoder import DecoderProcess
from streamseg.wire.events import StreamLost, StreamStopped
from tools import sound_files as sound
from tools.command import start

GENEROUS_S = 20.0  # for what takes milliseconds on a machine that does nothing else


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
    decoder.kill_and_free_resources()
    assert re.match(rf"minute crashed its decoder \({number.name}\) at \d+\.\d s; everything before", str(failure))
    whole, _ = heard(AudioFileSource(minute))
    assert items[-1] == SourceAvailabilityChange(f"the source crashed its decoder ({number.name})")
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
    decoder.kill_and_free_resources()
    assert len(samples_of(items)) == 60 * sound.RATE


@POSIX
def test_one_stream_crashes_and_the_other_loses_nothing(tmp_path, minute):
    """Both under the live path, as `serve --fast` plays them."""
    settings = make_settings("music")

    def good():
        return Session("good", PacedSource(AudioFileSource(minute), "good", fast=True), settings)

    alone = [(e.type, e.data) for envelopes in good() for e in envelopes if not isinstance(e.data, StreamStopped)]
    bad_file = AudioFileSource(minute)
    bad = Session("bad", PacedSource(bad_file, "bad", fast=True), settings)
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
    played = PacedSource(source, "pipe") if live_ else source
    closing = threading.Timer(0.3, played.close)
    closing.start()
    began = time.monotonic()
    assert list(played) == []
    assert time.monotonic() - began < GENEROUS_S
    closing.join()


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
