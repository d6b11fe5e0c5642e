"""Clients must not delay the engine: a virtual sound card is captured under load from clients and attacks.

Noise is played into the card; `streamseg serve mic:…` analyses and saves it, while many clients subscribe to all
events, some of them without reading, and others attack. Then the capture is compared with the played samples.

    python -m tools.load.live_crowd --clients 1000 --stalled 100 --seconds 60
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from tools import sound_files as sound
from tools.alignment import count_differing, find_start
from tools.command import start
from tools.load.attacks import ATTACKS, Target
from tools.load.fuzz import Mutator
from tools.virtual_card import NAME, RATE, virtual_card


def run_attacks_until(target: Target, done: threading.Event, seed: int) -> dict[str, int]:
    """Run attacks and send malformed messages until `done`; returns how many of each."""
    chance, mutator = random.Random(seed), Mutator(seed)
    drops = 0
    for attacks, name in enumerate(itertools.cycle(ATTACKS)):
        for _ in range(100):
            if done.is_set():
                return {"attacks": attacks, "dropped_connections": drops}
            with target.enter() as sock:
                text = mutator.message()
                sock.sendall(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
            drops += 1
            done.wait(chance.uniform(0, 0.02))
        ATTACKS[name](target)
    raise AssertionError


def run_session(options: argparse.Namespace, folder: Path) -> dict:
    """Run one session with the card."""
    played = sound.pulsed_noise(options.seconds, RATE)
    path, capture = sound.write(folder / "played.wav", played), folder / "capture.wav"
    arguments = ["serve", f"live=mic:{NAME}", "--port", "0", "--save", capture, "--history", folder / "history.db"]
    with virtual_card() as card, start(*arguments, env=card.env) as server:
        address = server.wait_for_address()
        target = Target(int(address.rpartition(":")[2].partition("/")[0]))
        with target.enter() as sock:  # the first sample has come
            while b"stream.started" not in sock.recv(1 << 20) and b'"state":"live"' not in target.greeting:
                time.sleep(0.1)
        player = card.play(path)
        crowd = subprocess.Popen(
            [sys.executable, "-m", "tools.load.crowd", "--port", str(target.port), "--clients", str(options.clients),
             "--stalled", str(options.stalled), "--seconds", str(max(1, options.seconds - 15))],
            cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        done, tried = threading.Event(), {}
        attacker = threading.Thread(target=lambda: tried.update(run_attacks_until(target, done, options.seed)))
        attacker.start()
        player.wait(options.seconds + 60)
        done.set()
        attacker.join()
        crowded = json.loads(crowd.communicate(timeout=120)[0])
        time.sleep(0.5)
        code, _, messages = server.stop()
    captured = soundfile.read(capture, dtype="float32", always_2d=True)[0]
    if captured.shape[1] > played.shape[1]:
        played = np.repeat(played, 2, axis=1)
    first = find_start(played, captured, RATE)
    return {
        **crowded,
        **tried,
        "seconds": options.seconds,
        "samples_not_as_played": count_differing(played, captured, first, RATE),
        "exit_code": code,
        "complaints": len(messages.split("Traceback")) - 1,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--stalled", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    with tempfile.TemporaryDirectory() as name:
        found = run_session(parser.parse_args(), Path(name))
    print(json.dumps(found))
    sys.exit(bool(found["samples_not_as_played"] or any(found["dropped_samples"].values()) or found["exit_code"]))
