"""Law 5 (live is file) on minutes of any sound.

    python -m tools.load.live_is_file FILE [SECONDS [PROFILE]]

The file is played into a virtual sound card; `streamseg serve mic:…` analyses and saves it, and `streamseg watch`
receives the events. Then the saved capture and the file itself are analysed, and all three results are compared.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from tools.alignment import START_UP_S, count_differing, find_start
from tools.command import PATIENCE_S, command, run, start
from tools.virtual_card import NAME, RATE, virtual_card

CONFIRMED = "streamseg.boundary.confirmed.v1"
TOLERANCE_S = 0.1


@dataclasses.dataclass
class Comparison:
    """The comparison of the three results. Events are `(type, subject, data)`."""

    live: list
    replayed: list
    lost_samples: int
    differing_samples: int
    start_s: float
    unmatched_s: list[float]
    boundaries: int
    worst_s: float


def facts(lines):
    """Return the events without what identifies the run: source and reason of the end."""
    found = []
    for line in lines:
        event = json.loads(line)
        data = event["data"]
        for key in {"streamseg.stream.started.v1": ["source"], "streamseg.stream.stopped.v1": ["reason"]}.get(
            event["type"], []
        ):
            del data[key]
        found.append((event["type"], event["subject"], data))
    return found


def boundaries(events, until_s):
    """Return the times of the boundaries decided before until_s; the end of a stream settles others differently."""
    return [
        data["t"]
        for kind, _, data in events
        if kind == CONFIRMED and not data["at_end"] and data["decided_t"] < until_s
    ]


def compare(card, played, folder, profile):
    """Play the file into the card while the command line captures it, then compare."""
    capture = folder / "capture.wav"
    # fmt: off
    serving = ["serve", f"live=mic:{NAME}", "--port", "0", "--profile", profile,
               "--save", capture, "--history", folder / "history.db"]
    # fmt: on
    with start(*serving, env=card.env) as server:
        watching = command("watch", server.wait_for_address(), "--json", "--until-stopped")
        with subprocess.Popen(watching, stdout=subprocess.PIPE, text=True) as watch:
            lines, started = [], threading.Event()

            def read():
                for line in watch.stdout:
                    lines.append(line)
                    started.set()

            reader = threading.Thread(target=read)
            reader.start()
            try:
                assert started.wait(PATIENCE_S), "nothing was heard"
                card.play(played).wait()
                time.sleep(1)
                code, _, messages = server.stop()
                assert code == 0, messages
                assert watch.wait(PATIENCE_S) == 0
            finally:
                watch.kill()
                reader.join()
    live, replayed = facts(lines), facts(_analysed(capture, profile))
    if live[0] in replayed[:3]:  # on a busy machine the watcher comes after the first words
        replayed = replayed[replayed.index(live[0]) :]
    original, captured = (soundfile.read(path, dtype="float32", always_2d=True)[0] for path in (played, capture))
    original = np.repeat(original, captured.shape[1] // original.shape[1], axis=1)
    first = find_start(original, captured, RATE)
    start_s = first / RATE
    played_s = len(original) / RATE
    expected = [t + start_s for t in boundaries(facts(_analysed(played, profile)), played_s)]
    heard = [t for t in boundaries(live, start_s + played_s) if t > start_s + START_UP_S]
    off = [min((abs(t - other) for other in expected), default=np.inf) for t in heard]
    off += [min((abs(t - other) for other in heard), default=np.inf) for t in expected]
    return Comparison(
        live=live,
        replayed=replayed,
        lost_samples=sum(round(data["missing_s"] * RATE) for kind, _, data in live if "gap" in kind),
        differing_samples=count_differing(original, captured, first, RATE),
        start_s=start_s,
        unmatched_s=[round(t, 2) for t, by in zip([*heard, *expected], off) if by > TOLERANCE_S],
        boundaries=len(heard),
        worst_s=max(off, default=0.0),
    )


def _analysed(path, profile):
    done = run("analyze", path, "--profile", profile)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def main(file, seconds, profile):
    with tempfile.TemporaryDirectory() as name, virtual_card() as card:
        folder = Path(name)
        played = folder / "played.wav"
        # fmt: off
        subprocess.run(["ffmpeg", "-v", "error", "-i", file, "-t", str(seconds), "-ar", str(RATE), "-ac", "2", played],
                       check=True)
        # fmt: on
        found = compare(card, played, folder, profile)
    same = found.live == found.replayed
    print(f"samples lost: {found.lost_samples}, samples that are not as played: {found.differing_samples}")
    print(f"events live: {len(found.live)}, of the saved capture: {len(found.replayed)}, the very same: {same}")
    print(
        f"boundaries: {found.boundaries}, farthest from the file's own: {found.worst_s:.3f} s, at {found.unmatched_s}"
    )
    return 0 if same and not found.lost_samples and not found.differing_samples and not found.unmatched_s else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("seconds", type=float, nargs="?", default=300)
    parser.add_argument("profile", nargs="?", default="dj")
    asked = parser.parse_args()
    sys.exit(main(asked.file, asked.seconds, asked.profile))
