"""Speed of all parts, in one table, on one sound.

    python -m tools.benchmarks.speed               # the demo's programme
    python -m tools.benchmarks.speed FILE          # a recording of yours
    python -m tools.benchmarks.speed FILE --seconds 60 --only engine

Figures are medians of CPU time (for two threads: wall-clock time), as multiples of real time on one core. What is
compared is measured in turn, on the same samples, in the same run. Nothing is asserted, since speed depends on the
machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamseg.engine import Segmenter
from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.engine.features.resampling import Resampler
from streamseg.settings import ENGINE_RATE, HOP, make_settings
from streamseg.sources import open_source, parse_source
from tools.benchmarks.peers import PEERS
from tools.benchmarks.sounds import FULL_RATE, cut, mono, stereo
from tools.benchmarks.stages import Stopwatch

BLOCK = 32 * HOP
TINY_S = 5.0  # of sound, for pushes of one sample


def line(what: str, found: str, asked: str = "") -> None:
    print(f"{what:<52} {found:>12}   {asked}", flush=True)


def medians_s(*works: Callable[[], object], times: int = 5) -> list[float]:
    """Return the median CPU seconds of each function; they run in turn, after one run each that does not count."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(times + 1):
        for work, seconds in zip(works, taken, strict=True):
            began = time.process_time()
            work()
            if turn:
                seconds.append(time.process_time() - began)
    return [statistics.median(seconds) for seconds in taken]


def push_all(stage, blocks) -> None:
    for block in blocks:
        stage.push(block)


def run_engine(blocks, rate: int) -> None:
    segmenter = Segmenter(make_settings("dj"), sample_rate=rate)
    push_all(segmenter, blocks)
    segmenter.finish()


def features(sound, length_s: float) -> None:
    """Measure the feature kernel alone."""
    blocks, frames = cut(sound, BLOCK), cut(sound, HOP)
    in_blocks, by_frame = medians_s(
        lambda: push_all(FeatureExtractor(), blocks), lambda: push_all(FeatureExtractor(), frames)
    )
    line("features, 22,050 Hz mono, blocks of 32 frames", f"{length_s / in_blocks:,.0f} x", "asked 1,000 x")
    line("features, frame by frame", f"{length_s / by_frame:,.0f} x")
    line("  cost of frame by frame over blocks", f"{by_frame / in_blocks:.2f}", "asked 1.25 at most")


def full_rate(sound, length_s: float) -> None:
    """Measure resampling, loudness and true peak of 48 kHz stereo."""
    blocks = cut(stereo(sound), FULL_RATE // 2)

    def both() -> None:
        resampler, loudness = Resampler(FULL_RATE), LoudnessMeter(FULL_RATE, 2)
        for block in blocks:
            resampler.push(block)
            loudness.push(block)

    together, resampling, loudness = medians_s(
        both, lambda: push_all(Resampler(FULL_RATE), blocks), lambda: push_all(LoudnessMeter(FULL_RATE, 2), blocks)
    )
    line("full-rate branch, 48 kHz stereo", f"{length_s / together:,.0f} x", "asked 1,000 x")
    line("  resampling", f"{length_s / resampling:,.0f} x")
    line("  loudness and true peak", f"{length_s / loudness:,.0f} x")


def engine(sound, length_s: float) -> None:
    """Measure everything between samples and events, stage by stage."""
    for what, samples, rate, asked in (
        ("22,050 Hz mono", sound, ENGINE_RATE, "asked 500 x"),
        ("48 kHz stereo", stereo(sound), FULL_RATE, "asked 350 x"),
    ):
        blocks = cut(samples, rate)
        (whole,) = medians_s(lambda blocks=blocks, rate=rate: run_engine(blocks, rate))
        line(f"whole engine, {what}", f"{length_s / whole:,.0f} x", asked)
        watch = Stopwatch()
        with watch.watching():
            run_engine(blocks, rate)
        for stage, seconds in watch.seconds.items():
            line(f"  {stage}", f"{1e6 * seconds / length_s:,.0f} us/s", f"{seconds / sum(watch.seconds.values()):.0%}")


def tiny(sound, length_s: float) -> None:
    """Measure the whole engine with very few samples in each push."""
    length_s = min(length_s, TINY_S)
    full = stereo(sound[: round(length_s * ENGINE_RATE)])
    for what, samples in (("48 kHz mono", np.ascontiguousarray(full[:, 0])), ("48 kHz stereo", full)):
        one, few = cut(samples, 1), cut(samples, 32)
        by_one, by_few = medians_s(
            lambda one=one: run_engine(one, FULL_RATE), lambda few=few: run_engine(few, FULL_RATE)
        )
        line(f"whole engine, {what}, one sample a push", f"{length_s / by_one:,.0f} x", "asked 20 x")
        line("  32 samples a push", f"{length_s / by_few:,.0f} x")


def peers(sound, length_s: float) -> None:
    """Measure other programs beside our features."""
    part = sound[: round(60 * ENGINE_RATE)]
    length_s = min(length_s, 60.0)
    blocks = cut(part, BLOCK)
    for name, (made, asked) in PEERS.items():
        try:
            hear = made()
        except ImportError:
            line(f"beside {name}", "absent")
            continue
        ours, theirs = medians_s(lambda: push_all(FeatureExtractor(), blocks), lambda hear=hear: hear(part), times=3)
        line(f"beside {name} ({length_s / theirs:,.0f} x)", f"{theirs / ours:.1f} times", f"asked {asked:.0f} times")


def threads(sound, length_s: float) -> None:
    """Measure two streams on two cores, in threads of one process and in two processes."""
    blocks = cut(sound, BLOCK)

    def clocked(count: int, work: Callable[[], None]) -> float:
        def run() -> float:
            workers = [threading.Thread(target=work) for _ in range(count)]
            began = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            return time.perf_counter() - began

        run()
        return statistics.median(run() for _ in range(5))

    def spin() -> None:
        code = "x = 0\nfor i in range(12_000_000): x += i"
        subprocess.run([sys.executable, "-S", "-c", code], check=True)

    for what, work in (
        ("features", lambda: push_all(FeatureExtractor(), blocks)),
        ("whole engine", lambda: run_engine(cut(sound, ENGINE_RATE), ENGINE_RATE)),
    ):
        line(f"two threads over one, {what}", f"{2 * clocked(1, work) / clocked(2, work):.2f}", "asked 1.8")
    line("  the machine's own: two processes over one", f"{2 * clocked(1, spin) / clocked(2, spin):.2f}")


def decoding(path: Path) -> None:
    """Measure the decoding of the whole file."""

    def read() -> None:
        nonlocal length_s
        length_s = sum(len(item.samples) / item.sample_rate for item in open_source(parse_source(str(path))[1]))

    length_s = 0.0
    (seconds,) = medians_s(read, times=1)
    line(f"decoding {path.name}", f"{length_s / seconds:,.0f} x")


PARTS = {
    "features": features,
    "full-rate": full_rate,
    "engine": engine,
    "tiny": tiny,
    "peers": peers,
    "threads": threads,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", help="a recording; the demo's programme when left out")
    parser.add_argument("--seconds", type=float, default=120.0, help="how much of it (default 120)")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="parts of the table")
    asked = parser.parse_args()
    sound = mono(asked.file, asked.seconds)
    length_s = len(sound) / ENGINE_RATE
    print(f"{asked.file or 'demo programme'}, {length_s:.0f} s; x: times real time, one core")
    for name in asked.only:
        PARTS[name](sound, length_s)
    if asked.file:
        decoding(asked.file)


if __name__ == "__main__":
    main()
