"""What a user may write for a source, and what is refused at once."""

import subprocess
import sys

import pytest

from streamseg.errors import SourceNotFoundError, UsageError
from streamseg.sources import open_source, parse_source
from tools import sound_files as sound


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
    with pytest.raises(UsageError, match=r"http://.*file.*ffmpeg -i 'http://127.0.0.1:1/a\?b&c' -f s16le"):
        open_source("http://127.0.0.1:1/a?b&c")


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
