"""A virtual sound card: a private PulseAudio server with a null sink, whose monitor is the microphone.

It runs as any user, also as root, without D-Bus and apart from the machine's own sound: its socket, its state and
ALSA's configuration are in a folder of their own. PortAudio reaches it through ALSA's pulse plugin.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

NAME = "segmon"  # what PortAudio calls the microphone
RATE = 44_100  # PortAudio's choice for it, so that nothing is resampled on the way
_SINK = f"module-null-sink sink_name=seg_sink rate={RATE} channels=2 format=float32le"
_FIRST = ["nice", "-n", "-15"]  # real cards do not stutter when the machine is busy (root only; others are just warned)
_ALSA = f"""pcm.{NAME} {{
    type pulse
    device "seg_sink.monitor"
    hint {{ show on description "Monitor of the null sink" }}
}}
"""


class VirtualCard:
    """The running sound server. env: the environment for processes that use the card."""

    def __init__(self, folder, env, process):
        self.folder = folder
        self.env = env
        self.process = process

    def play(self, path):
        """Start a process that plays a file into the card, and return it. It reads ahead, for busy machines."""
        return subprocess.Popen([*_FIRST, "paplay", "--latency-msec=500", "--device=seg_sink", str(path)], env=self.env)

    def control(self, *words):
        return subprocess.run(["pactl", *words], env=self.env, capture_output=True, text=True, timeout=20)

    def unplug(self):
        assert self.control("unload-module", "module-null-sink").returncode == 0

    def plug_in(self):
        assert self.control("load-module", *_SINK.split()).returncode == 0

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def virtual_card():
    """Start the server, wait until it answers, and end it by its process id at the end of the block."""
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is missing: sh scripts/test.sh installs it (pulseaudio, pulseaudio-utils)")
    with tempfile.TemporaryDirectory(prefix="virtual-card-") as name:
        folder = Path(name)
        alsa = folder / "asound.conf"
        alsa.write_text(_ALSA)
        env = os.environ | {
            "HOME": name,
            "XDG_RUNTIME_DIR": name,
            "PULSE_RUNTIME_PATH": f"{name}/runtime",
            "PULSE_STATE_PATH": f"{name}/state",
            "PULSE_COOKIE": f"{name}/cookie",
            "PULSE_SERVER": f"unix:{name}/native",
            "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{alsa}",
        }
        server = [
            *_FIRST, "pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
            "--log-target=stderr", "--log-level=warning",
            "-L", f"module-native-protocol-unix auth-anonymous=1 socket={name}/native",
            "-L", _SINK,
        ]  # fmt: skip
        server_env = {key: value for key, value in env.items() if key != "PULSE_SERVER"}
        log = (folder / "log").open("w")
        with log, subprocess.Popen(server, env=server_env, stdout=log, stderr=log) as process:
            card = VirtualCard(folder, env, process)
            try:
                _wait_until_it_answers(card)
                yield card
            finally:
                card.thaw()
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait_until_it_answers(card):
    deadline = time.monotonic() + 20
    while card.control("info").returncode != 0:
        if time.monotonic() > deadline or card.process.poll() is not None:
            raise RuntimeError(f"the sound server did not start: {(card.folder / 'log').read_text()}")
        time.sleep(0.1)
