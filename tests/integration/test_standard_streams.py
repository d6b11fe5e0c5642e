"""Standard streams that are closed, full, or of a small alphabet: lines are lost, the command is not."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner
from unit.test_outputs import run

from streamseg.cli.app import app
from streamseg.cli.console import SanitisingConsole
from streamseg.cli.signals import handle_stop_signals
from streamseg.cli.standard_streams import TolerantStream
from streamseg.outputs import FORMATS
from streamseg.wire.envelope import decode_envelope
from tools.command import PATIENCE_S, command

pytestmark = pytest.mark.skipif(os.name != "posix", reason="told to a POSIX shell")
ASCII_ONLY = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """Two seconds."""
    folder = tmp_path_factory.mktemp("streams")
    path = folder / "noise.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(44_100), 22_050)
    return path


def shell(redirections: str, *arguments, **environment) -> subprocess.CompletedProcess[bytes]:
    """The command with a shell's redirections; what is left of its output."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", *command(*arguments)],
        capture_output=True,
        timeout=PATIENCE_S,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.parametrize("redirections", ["2>&- <&-", pytest.param("2>/dev/full", marks=full_device)])
def test_a_result_is_whole_whatever_standard_error_is(noise: Path, redirections):
    done = shell(redirections, "analyze", noise)
    assert done.returncode == 0
    assert decode_envelope(done.stdout.splitlines()[-1]).data.reason == "end"


@pytest.mark.parametrize(
    ("arguments", "redirections"),
    [
        (("--version",), ">&-"),
        pytest.param(("--version",), ">/dev/full", marks=full_device),
        pytest.param(("--help",), ">/dev/full", marks=full_device),
        pytest.param(("--settings",), ">/dev/full", marks=full_device),
        pytest.param(("export", "-", "-f", "jsonl"), ">/dev/full", marks=full_device),
        (("export", "-", "-f", "jsonl"), ">&-"),
    ],
)
def test_a_result_that_cannot_be_written_is_a_failure_in_one_line(arguments, redirections, tmp_path: Path):
    events = tmp_path / "events.jsonl"
    events.write_text("".join(FORMATS["jsonl"].render(run())))
    done = shell(f"{redirections} <{events}", *arguments)
    assert done.returncode == 1
    (message,) = done.stderr.decode().splitlines()
    assert message.startswith("streamseg: ")
    assert "writ" in message


def test_a_server_goes_on_without_its_streams(noise: Path, tmp_path: Path):
    history = tmp_path / "history.sqlite"
    done = shell("<&- >&- 2>&-", "serve", noise, "--fast", "--port", "0", "--history", history)
    assert done.returncode == 0
    assert history.read_bytes().startswith(b"SQLite format 3\0")


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path):
    """What a C library prints would go into it otherwise."""
    opened = tmp_path / "opened"
    program = f"""
import os
import signal
from streamseg.cli.standard_streams import open_closed_streams_and_set_utf8
open_closed_streams_and_set_utf8()
number = os.open({os.fspath(opened)!r}, os.O_CREAT | os.O_WRONLY)
os.write(2, b"a line for nobody")
os.write(number, b"%d" % number)
"""
    subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program], check=True, timeout=60)
    assert int(opened.read_bytes()) > 2


@full_device
def test_a_server_says_once_that_its_lines_are_lost(noise: Path):
    done = shell(">/dev/full", "serve", noise, "--fast", "--port", "0", "--no-history")
    assert done.returncode == 0
    assert done.stderr.count(b"streamseg: standard output cannot be written (No space left on device)") == 1


@full_device
def test_a_wrong_command_is_a_wrong_command_where_nobody_can_read_it():
    assert shell("2>/dev/full", "nonsense").returncode == 2
    assert shell("2>&-", "export", "nowhere.jsonl", "-f", "csv").returncode == 2


@pytest.mark.parametrize("environment", [ASCII_ONLY, {"PYTHONIOENCODING": "latin-1"}])
def test_a_result_is_utf_8_in_any_locale(tmp_path: Path, environment):
    events = tmp_path / "events.jsonl"
    events.write_text("".join(FORMATS["jsonl"].render(run(labels=("höre 音", "B", "A", "C")))), encoding="utf-8")
    done = shell(f"<{events}", "export", "-", "-f", "lab", **environment)
    assert done.returncode == 0, done.stderr
    assert "höre_音" in done.stdout.decode()


def test_lines_for_people_hold_what_the_alphabet_holds(noise: Path, tmp_path: Path):
    """A name that is no UTF-8 beside one that the locale cannot show: said as well as can be, and heard to the end."""
    sound = tmp_path / os.fsdecode("höre 音 ".encode() + (b"\xe9" if sys.platform == "linux" else b"") + b".wav")
    sound.write_bytes(noise.read_bytes())
    done = shell("", "serve", sound, "--fast", "--port", "0", "--no-history", **ASCII_ONLY)
    assert done.returncode == 0, done.stderr
    assert b"1 section (A 1 ?)" in done.stderr
    assert b"foreseen" not in done.stderr


def test_what_a_usage_error_repeats_is_clean():
    done = shell("", "analyze", "--\x1b[31m\x9b\u202e")
    assert done.returncode == 2
    assert not {"\x1b", "\x9b", "\u202e"} & set(done.stderr.decode())


def test_a_wrong_choice_is_said_without_the_kind_of_an_exception():
    done = shell("", "analyze", "x.wav", "--profile", "jazz")
    assert done.returncode == 2
    assert b"'jazz' is not one of" in done.stderr
    assert b"Value error" not in done.stderr


def test_of_a_file_in_which_nothing_was_heard_only_that_is_said(tmp_path: Path):
    (tmp_path / "empty.wav").touch()
    for line in (("analyze", "empty.wav"), ("serve", "empty.wav", "--fast", "--port", "0", "--no-history")):
        done = shell("", *line[:1], tmp_path / line[1], *line[2:])
        assert done.returncode == 1
        assert b"is empty" in done.stderr
        assert b"processed" not in done.stderr


def test_ctrl_c_while_the_program_is_loaded_ends_it_quietly():
    code = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.argv[1:] = ["--version"]
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from streamseg.cli import main
main()
"""
    for module in ("typer", "streamseg.cli.commands.tune", "streamseg.cli.standard_streams"):
        done = subprocess.run([sys.executable, "-c", code, module], capture_output=True, text=True, timeout=PATIENCE_S)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_stream_that_recovers_is_written_again_and_reported_once_a_spell():
    class Disk(io.StringIO):
        full = False

        def write(self, text):
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk, reported = Disk(), []
    stream = TolerantStream(disk, reported.append)
    for text, full in (("a", False), ("b", True), ("c", True), ("d", False), ("e", True), ("f", False)):
        disk.full = full
        stream.write(text)
        stream.flush()
    assert disk.getvalue() == "adf"
    assert len(reported) == 2


def test_a_console_writes_what_the_alphabet_holds():
    raw = io.BytesIO()
    console = SanitisingConsole(file=io.TextIOWrapper(raw, "latin-1"))
    console.print("A → Größe")
    assert raw.getvalue() == "A ? Größe\n".encode("latin-1")


def test_a_closed_stream_costs_its_lines_only():
    stream = io.StringIO()
    console = SanitisingConsole(file=stream)
    stream.close()
    console.print("nobody reads it")


SIGNALLED = """
import os, signal
from streamseg.cli.signals import handle_stop_signals
signal.signal(signal.SIGHUP, signal.{before})
stopped = []
with handle_stop_signals(lambda: stopped.append(1)):
    for _ in range(3):  # a shell says that its terminal closes, then the system does
        os.kill(os.getpid(), signal.SIGHUP)
print(len(stopped), signal.getsignal(signal.SIGHUP) is signal.{before})
"""


@pytest.mark.parametrize(("before", "printed"), [("SIG_DFL", "1 True"), ("SIG_IGN", "0 True")])  # nohup ignores it
def test_a_terminal_that_closes_stops_once(before, printed):
    program = SIGNALLED.format(before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, printed)


def test_a_key_alone_is_refused_before_anything_is_opened():
    done = CliRunner().invoke(app, ["serve", "nowhere.wav", "--key", "key.pem"])
    assert done.exit_code == 2
    assert "--key key.pem was given without --cert" in done.stderr


@pytest.mark.parametrize(("is_compiling", "awaited"), [(True, "the compilation"), (False, "the pending events")])
def test_a_signal_says_what_is_waited_for(is_compiling, awaited, capsys):
    stopped = []
    with handle_stop_signals(lambda: stopped.append(1), lambda: is_compiling):
        os.kill(os.getpid(), signal.SIGINT)
    assert stopped == [1]
    assert f"stopping after {awaited}" in capsys.readouterr().err
