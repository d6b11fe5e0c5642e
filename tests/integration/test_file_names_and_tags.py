"""File names and tags that are not UTF-8, and names that stand for standard streams."""

import json
import os
import re
import subprocess
import sys
import threading

import pytest
from integration.decoder_items import LINUX, POSIX, heard

from streamseg.errors import SourceNotFoundError
from streamseg.live.session import Session
from streamseg.settings import make_settings
from streamseg.sources import AudioFileSource
from streamseg.wire.envelope import encode_envelope
from tools import sound_files as sound


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

    writer = threading.Thread(target=write)
    writer.start()
    ran = subprocess.run(
        [sys.executable, "-c", code, f"/dev/fd/{reading}"], pass_fds=(reading,), capture_output=True, timeout=60
    )
    os.close(reading)
    writer.join()
    assert int(ran.stdout) == round(0.3 * sound.RATE)
