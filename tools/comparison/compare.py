"""Other programs on the same annotated sound, trimmed and scored as `streamseg evaluate` does.

    python -m tools.comparison.compare FOLDER [--profile music] [--only NAME]… [--files N]

Prints a row of docs/accuracy.md for each. What is not installed is passed over:

- KernelCPD of `ruptures` (pip install ruptures), on streamseg's own texture vectors, the true number of changes told;
- MSAF's Foote and structure features, on MFCC and on pitch classes: its repository's main branch on PYTHONPATH, with
  its requirements; it still asks for a `scipy.signal.gaussian` that has moved, which is put back here;
- a plain causal checkerboard (Foote 2000) on the same vectors: 10 s either side for songs, 24 s for mixes; its
  threshold is the best of a handful on this very sound, which flatters it.

All but the last hear the whole recording before they answer.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamseg.engine.features.texture import STEP_S, TEXTURE_DIMS
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import AnnotatedFile, find_annotated_files
from streamseg.evaluation.evaluate import TrackPredictions, TrackScore, score_track
from streamseg.evaluation.scores import DetectedBoundary
from streamseg.evaluation.tracks import extract_texture, step_end_time, step_to_time

GAMMA = 0.7  # of the kernel exp(-gamma |x - y|^2 / dims)
CHECKERBOARD_S = {"music": 10.0, "dj": 24.0, "broadcast": 10.0}
MSAF = {"foote": "Foote", "sf": "structure features"}
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)

Answer = list[tuple[float, float]]  # (t, when it was known)


@functools.cache
def vectors(path: Path):
    return extract_texture(path)[:, :TEXTURE_DIMS]


def kernel_cpd(track: AnnotatedFile) -> Answer:
    import ruptures

    x = vectors(track.audio)
    changes = len(track.spans) - (track.kind != "transitions")
    found = ruptures.KernelCPD(kernel="rbf", params={"gamma": GAMMA / x.shape[1]}, min_size=8).fit(x)
    end = step_end_time(len(x))
    return [(float(step_to_time(step)), end) for step in found.predict(n_bkps=changes)[:-1]]


def msaf(algorithm: str, feature: str, track: AnnotatedFile) -> Answer:
    import scipy.signal

    scipy.signal.gaussian = scipy.signal.windows.gaussian
    logging.disable(logging.WARNING)
    import msaf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times, _ = msaf.process(str(track.audio), boundaries_id=algorithm, feature=feature)
    return [(float(t), float(times[-1])) for t in times[1:-1]]


def checkerboard(half_s: float, threshold: float, track: AnnotatedFile) -> Answer:
    """Novelty of the middle of the last 2 × half_s, once they were heard; a peak is one that half of that confirms."""
    value, known = novelty(track.audio, half_s)
    near = known // 2
    peaks = [
        step
        for step in np.flatnonzero(value > threshold)
        if value[step] >= value[max(0, step - near) : step + near + 1].max()
    ]
    return [(float(step_to_time(step)), step_end_time(min(step + known + near, len(value) - 1))) for step in peaks]


@functools.cache
def novelty(path: Path, half_s: float):
    x = vectors(path)
    half = round(half_s / STEP_S)
    taper = np.exp(-0.5 * ((np.arange(half) + 0.5) / (0.5 * half)) ** 2)
    value = np.zeros(len(x) + 1)
    weights = np.outer(taper, taper)
    weights /= weights.sum()
    for step in range(half, len(x) - half + 1):
        before, after = x[step - half : step][::-1], x[step : step + half]
        value[step] = 0.5 * np.sum(weights * (similar(before, before) + similar(after, after)))
        value[step] -= np.sum(weights * similar(before, after))
    return value, half


def similar(a, b):
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.exp(-GAMMA * np.maximum(squares, 0) / a.shape[1])


def scored(tracks: list[AnnotatedFile], answer: Callable[[AnnotatedFile], Answer]) -> list[TrackScore]:
    found = []
    for track in tracks:
        boundaries = tuple(DetectedBoundary(t, known) for t, known in answer(track))
        found.append(score_track(track, TrackPredictions(step_end_time(len(vectors(track.audio))), boundaries, ())))
    return found


def row(name: str, found: list[TrackScore], delay: str | None = None) -> str:
    """A line of the table: F at 3 s with its interval, F at 0.5 s, precision, recall, false alarms, delay."""

    def mean(part: str) -> str:
        values = [value for one in found if (value := getattr(one, part)) is not None]
        return f"{np.mean(values):.2f}" if values else "–"

    low, high = scores.bootstrap_interval([one.f for one in found])
    hours = sum(one.duration_s for one in found) / 3600
    alarms = sum(one.false_alarms_per_h * one.duration_s for one in found) / 3600 / hours
    delays = [delay for one in found for delay in one.delays_s]
    late = delay or f"{np.median(delays):.1f} s / {np.percentile(delays, 90):.1f} s"
    parts = (f"{mean('f')} ({low:.2f} to {high:.2f})", mean("f_05"), mean("precision"), mean("recall"))
    return f"| {name} | {' | '.join(parts)} | {alarms:.1f} | {late} |"


def main() -> None:
    """Run all that is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", choices=CHECKERBOARD_S, default="music")
    parser.add_argument("--only", action="append", choices=("ruptures", "msaf", "checkerboard"))
    parser.add_argument("--files", type=int, help="only the first so many")
    asked = parser.parse_args()
    tracks = find_annotated_files(asked.folder)[: asked.files]
    whole = "whole recording"

    def wanted(name: str) -> bool:
        return (not asked.only or name in asked.only) and (
            name == "checkerboard" or importlib.util.find_spec(name) is not None
        )

    if wanted("checkerboard"):
        half_s = CHECKERBOARD_S[asked.profile]
        tried = [scored(tracks, functools.partial(checkerboard, half_s, threshold)) for threshold in THRESHOLDS]
        best = max(tried, key=lambda found: np.mean([one.f for one in found]))
        print(row(f"causal checkerboard, {half_s:g} s either side", best), flush=True)
    if wanted("ruptures"):
        print(row("KernelCPD, offline, told the true number", scored(tracks, kernel_cpd), whole), flush=True)
    if wanted("msaf"):
        kinds = [(algorithm, feature) for feature in ("mfcc", "pcp") for algorithm in MSAF]
        answers = []
        for track in tracks:  # it keeps the features of one recording at a time
            answers.append({kind: msaf(*kind, track) for kind in kinds})
            print(track.audio.stem, file=sys.stderr, flush=True)
        for kind in kinds:
            told = {track.audio: answer[kind] for track, answer in zip(tracks, answers)}
            found = scored(tracks, lambda track, told=told: told[track.audio])
            print(row(f"MSAF, {MSAF[kind[0]]}, {kind[1].upper()}, offline", found, whole), flush=True)


if __name__ == "__main__":
    main()
