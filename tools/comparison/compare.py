"""Scores of other programs on annotated sound, computed as by `streamseg evaluate`.

    python -m tools.comparison.compare FOLDER [--profile music] [--only NAME]… [--files N]

Prints a row of docs/accuracy.md for each program that is installed:

- KernelCPD of `ruptures` (pip install ruptures), on streamseg's texture vectors, given the true number of boundaries;
- Foote and structure features of MSAF, on MFCC and on pitch classes: the main branch of its repository on PYTHONPATH,
  with its requirements; it imports `scipy.signal.gaussian`, which has moved and is restored here;
- a causal checkerboard (Foote 2000) on the same vectors: 10 s on either side for songs, 24 s for mixes; its threshold
  is the best of six on this very sound, an advantage.

All but the last one process the whole recording before they return.
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
from streamseg.evaluation.tracks import extract_texture, step_to_time, time_after_steps

GAMMA = 0.7  # of the kernel exp(-gamma |x - y|^2 / dims)
CHECKERBOARD_S = {"music": 10.0, "dj": 24.0, "broadcast": 10.0}
MSAF = {"foote": "Foote", "sf": "structure features"}
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)

Estimates = list[tuple[float, float]]  # (t, decided_t)


@functools.cache
def vectors(path: Path):
    return extract_texture(path)[:, :TEXTURE_DIMS]


def kernel_cpd(track: AnnotatedFile) -> Estimates:
    import ruptures

    x = vectors(track.audio)
    changes = len(track.spans) - (track.kind != "transitions")
    found = ruptures.KernelCPD(kernel="rbf", params={"gamma": GAMMA / x.shape[1]}, min_size=8).fit(x)
    end = time_after_steps(len(x))
    return [(float(step_to_time(step)), end) for step in found.predict(n_bkps=changes)[:-1]]


def msaf(algorithm: str, feature: str, track: AnnotatedFile) -> Estimates:
    import scipy.signal

    scipy.signal.gaussian = scipy.signal.windows.gaussian
    logging.disable(logging.WARNING)
    import msaf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times, _ = msaf.process(str(track.audio), boundaries_id=algorithm, feature=feature)
    return [(float(t), float(times[-1])) for t in times[1:-1]]


def checkerboard(half_s: float, threshold: float, track: AnnotatedFile) -> Estimates:
    """Pick peaks of the novelty; each is decided half_s after its time, plus half of that for the peak."""
    value, half = novelty(track.audio, half_s)
    near = half // 2
    peaks = [
        step
        for step in np.flatnonzero(value > threshold)
        if value[step] >= value[max(0, step - near) : step + near + 1].max()
    ]
    return [(float(step_to_time(step)), time_after_steps(min(step + half + near, len(value) - 1))) for step in peaks]


@functools.cache
def novelty(path: Path, half_s: float):
    """Return the novelty before each vector, and half_s in vectors."""
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


def score_program(tracks: list[AnnotatedFile], estimate: Callable[[AnnotatedFile], Estimates]) -> list[TrackScore]:
    track_scores = []
    for track in tracks:
        boundaries = tuple(DetectedBoundary(t, decided_t) for t, decided_t in estimate(track))
        track_scores.append(
            score_track(track, TrackPredictions(time_after_steps(len(vectors(track.audio))), boundaries, ()))
        )
    return track_scores


def format_row(name: str, track_scores: list[TrackScore], delay: str | None = None) -> str:
    """Format a line of the table: F at 3 s with its interval, F at 0.5 s, precision, recall, false alarms, delay."""

    def mean(part: str) -> str:
        values = [value for one in track_scores if (value := getattr(one, part)) is not None]
        return f"{np.mean(values):.2f}" if values else "–"

    low, high = scores.bootstrap_interval([one.f for one in track_scores])
    hours = sum(one.duration_s for one in track_scores) / 3600
    alarms = sum(one.false_alarms_per_h * one.duration_s for one in track_scores) / 3600 / hours
    delays = [delay_s for one in track_scores for delay_s in one.delays_s]
    delay = delay or f"{np.median(delays):.1f} s / {np.percentile(delays, 90):.1f} s"
    parts = (f"{mean('f')} ({low:.2f} to {high:.2f})", mean("f_05"), mean("precision"), mean("recall"))
    return f"| {name} | {' | '.join(parts)} | {alarms:.1f} | {delay} |"


def main() -> None:
    """Score all programs that are installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", choices=CHECKERBOARD_S, default="music")
    parser.add_argument("--only", action="append", choices=("ruptures", "msaf", "checkerboard"))
    parser.add_argument("--files", type=int, help="number of files, from the first one")
    asked = parser.parse_args()
    tracks = find_annotated_files(asked.folder)[: asked.files]
    whole = "whole recording"

    def is_selected(name: str) -> bool:
        return (not asked.only or name in asked.only) and (
            name == "checkerboard" or importlib.util.find_spec(name) is not None
        )

    if is_selected("checkerboard"):
        half_s = CHECKERBOARD_S[asked.profile]
        trials = [score_program(tracks, functools.partial(checkerboard, half_s, threshold)) for threshold in THRESHOLDS]
        best = max(trials, key=lambda trial: np.mean([one.f for one in trial]))
        print(format_row(f"causal checkerboard, {half_s:g} s either side", best), flush=True)
    if is_selected("ruptures"):
        print(
            format_row("KernelCPD, offline, given the true number", score_program(tracks, kernel_cpd), whole),
            flush=True,
        )
    if is_selected("msaf"):
        kinds = [(algorithm, feature) for feature in ("mfcc", "pcp") for algorithm in MSAF]
        estimates = []
        for track in tracks:  # MSAF caches the features of one recording
            estimates.append({kind: msaf(*kind, track) for kind in kinds})
            print(track.audio.stem, file=sys.stderr, flush=True)
        for kind in kinds:
            of_kind = {track.audio: one[kind] for track, one in zip(tracks, estimates)}
            track_scores = score_program(tracks, lambda track, of_kind=of_kind: of_kind[track.audio])
            print(format_row(f"MSAF, {MSAF[kind[0]]}, {kind[1].upper()}, offline", track_scores, whole), flush=True)


if __name__ == "__main__":
    main()
