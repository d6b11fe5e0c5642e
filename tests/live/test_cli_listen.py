"""`streamseg listen` and `devices` at a real (virtual) microphone, in a real terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import soundfile

from streamseg.sources.demo_programme import render_programme
from tools.command import PATIENCE_S, command, run, start
from tools.virtual_card import NAME, RATE

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_devices_marks_the_default(card):
    done = run("devices", env=card.env)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if NAME in line]
    assert len(rows) == 1
    assert str(RATE) in done.stdout


def test_listen_draws_what_it_hears(card, tmp_path):
    sound = tmp_path / "talk.wav"
    soundfile.write(sound, render_programme()[: 8 * RATE], RATE, subtype="FLOAT")
    ours, theirs = pty.openpty()
    env = card.env | {"TERM": "xterm-256color", "COLUMNS": "90", "LINES": "30"}
    with subprocess.Popen(
        command("listen", "--device", NAME), stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as listening:
        os.close(theirs)
        try:
            screen = read_until(ours, "for 0:0")
            with card.play(sound):
                screen = read_until(ours, "▪▪▪▪▪")
            listening.send_signal(signal.SIGINT)
            rest = read_until(ours, r"0:\d\d\.\d processed, 0 changes, 1 section\b")
            assert listening.wait(30) == 0
        finally:
            listening.kill()
    os.close(ours)
    assert f"mic:{NAME}" in screen
    assert "Traceback" not in screen + rest


def test_listen_without_a_terminal_prints_lines_and_keeps_the_sound(card, tmp_path):
    kept = tmp_path / "kept.wav"
    arguments = ("listen", "--device", NAME, "--save", kept, "--serve", "--port", "0", "--no-history")
    with start(*arguments, env=card.env) as listening:
        listening.wait_for_address()
        assert f"listening to mic:{NAME} ({RATE} Hz, 2 channels)" in listening.process.stdout.readline()
        time.sleep(2)
        code, _, messages = listening.stop()
    assert code == 0, messages
    assert soundfile.info(kept).duration > 1


def read_until(terminal: int, pattern: str) -> str:
    """What the program has drawn, escape sequences aside, up to the pattern."""
    drawn, deadline = "", time.monotonic() + PATIENCE_S
    while not re.search(pattern, ESCAPES.sub("", drawn)):
        assert time.monotonic() < deadline, ESCAPES.sub("", drawn)[-2000:]
        if select.select([terminal], [], [], 1)[0]:
            drawn += os.read(terminal, 65536).decode(errors="replace")
    return ESCAPES.sub("", drawn)
