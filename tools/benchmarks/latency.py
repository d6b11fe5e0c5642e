"""Latency from sound to client: plays the demo's programme on a virtual card and times the events.

    python -m tools.benchmarks.latency [RUNS]

`streamseg serve mic:…` captures the sound, `streamseg watch` receives the events, and a second microphone on the same
card, in this process, notes when each sample was captured. The latency of an event is the time from the capture of the
sample at its `decided_t` to the moment at which its line can be read from `watch`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from streamseg.blocks import Block
from streamseg.sources import devices, open_source
from streamseg.sources.demo_programme import SAMPLE_RATE, render_programme
from tools.alignment import find_start
from tools.command import PATIENCE_S, command, start
from tools.virtual_card import NAME, RATE, virtual_card

LIMIT_S = 0.150


class ReferenceMicrophone:
    """A second microphone, which records when each sample was captured."""

    def __init__(self):
        self.source = open_source(f"mic:{NAME}")
        self.blocks = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        for item in self.source:
            assert isinstance(item, Block), item
            self.blocks.append(item)

    def stop(self):
        self.source.close()
        self._thread.join()
        self.samples = np.concatenate([block.samples for block in self.blocks])
        self._ends = np.cumsum([len(block.samples) for block in self.blocks])

    def captured_at(self, sample):
        """Return the Unix seconds at which this sample was captured."""
        n = int(np.searchsorted(self._ends, sample, side="right"))
        return self.blocks[n].captured_at - (self._ends[n] - sample) / RATE


def one_run(card, played, folder):
    """Return the type and the latency, seconds, of every event of one run."""
    capture = folder / "capture.wav"
    received = []
    reference = ReferenceMicrophone()
    # fmt: off
    serving = ["serve", f"demo=mic:{NAME}", "--port", "0", "--profile", "broadcast", "--save", capture, "--no-history"]
    # fmt: on
    try:
        with start(*serving, env=card.env) as server:
            watching = command("watch", server.wait_for_address(), "--json", "--until-stopped")
            with subprocess.Popen(watching, stdout=subprocess.PIPE, text=True) as watch:
                started = threading.Event()

                def read():
                    for line in watch.stdout:
                        received.append((time.time(), json.loads(line)))
                        started.set()

                reader = threading.Thread(target=read)
                reader.start()
                try:
                    assert started.wait(PATIENCE_S), "nothing was heard"
                    card.play(played).wait()
                    time.sleep(1)
                    assert server.stop()[0] == 0, server.messages
                    watch.wait(PATIENCE_S)
                finally:
                    watch.kill()
                    reader.join()
    finally:
        reference.stop()
    original, heard = (soundfile.read(path, dtype="float32", always_2d=True)[0] for path in (played, capture))
    ahead = find_start(original, reference.samples, RATE) - find_start(original, heard, RATE)
    return [
        (event["type"], at - reference.captured_at(ahead + round(event["data"]["decided_t"] * RATE)))
        for at, event in received
        if "decided_t" in event["data"] and not event["data"].get("at_end")
    ]


def main(runs):
    assert SAMPLE_RATE == RATE
    found = []
    with tempfile.TemporaryDirectory() as name, virtual_card() as card:
        os.environ.update(card.env)
        devices.rescan_devices()
        folder = Path(name)
        played = folder / "played.wav"
        soundfile.write(played, render_programme(), RATE, subtype="FLOAT")
        for run in range(runs):
            found += one_run(card, played, folder)
            latencies_ms = np.array([latency_s for _, latency_s in found]) * 1000
            p50, p99, worst = np.percentile(latencies_ms, [50, 99, 100])
            print(
                f"run {run + 1}: {len(found)} events so far, p50 {p50:.0f}, p99 {p99:.0f}, worst {worst:.0f} ms",
                flush=True,
            )
    return 0 if p99 < LIMIT_S * 1000 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=int, nargs="?", default=20)
    sys.exit(main(parser.parse_args().runs))
