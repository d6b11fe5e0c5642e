"""The limits of the decoding child: memory, time, rates."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from integration.decoder_items import LINUX, POSIX, heard
from source_items import samples_of

from streamseg.blocks import SourceAvailabilityChange
from streamseg.errors import SourceError
from streamseg.sources import AudioFileSource
from streamseg.sources.decoder import DecoderProcess
from tools import sound_files as sound


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
decoder.kill_and_free_resources()
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
    decoder.kill_and_free_resources()
    assert "wide needs more than 32 MiB of memory to be decoded" in str(failure)
    assert items[-1] == SourceAvailabilityChange("the source needs more than 32 MiB of memory to be decoded")
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
    decoder.kill_and_free_resources()
    assert items == []
    assert str(failure) == "gone.wav has been deleted or renamed meanwhile"


@POSIX
def test_a_decoder_that_works_without_giving_sound_is_ended(tmp_path, corpus):
    path = tmp_path / "zeros.mp3"
    path.write_bytes(corpus.content("stereo.mp3"))
    os.truncate(path, 2 << 30)
    decoder = DecoderProcess(path, "zeros", cpu_s=1)
    items, failure = heard(decoder)
    decoder.kill_and_free_resources()
    assert "zeros kept its decoder busy for 1 s without giving any sound at 1." in str(failure)
    assert isinstance(items[-1], SourceAvailabilityChange)
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
    decoder.kill_and_free_resources()
    assert sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) < 30_000
    assert "numpy" not in maps
    assert "msgspec" not in maps
