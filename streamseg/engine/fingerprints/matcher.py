"""Cue sounds: short sounds somebody taught, found again note for note, even beneath talk.

A print of a sound says, for every frame and mel band, whether the step to the next band grew or shrank, and how much:
the derivative over band and time of Haitsma & Kalker (2002), over two spans of time, and in sixteen degrees instead of
one bit, because what lies beneath a louder voice is told by its strongest moments. Levels and equalisation cancel out.
The print slides along the stream; the correlation is weighed against what it usually is with this stream, so a cue
that resembles everything must resemble more. A cue is known after its first seconds where nothing covers it, else at
its end. The best place is its start, to about a hundredth of a second.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from streamseg.engine.fingerprints.fingerprint import Fingerprint
from streamseg.engine.fingerprints.rows import (
    BANDS,
    LAGS,
    LOG_MEL,
    ROW_HOP,
    ROW_WIDTH,
    FingerprintRows,
    Floats,
    Ints,
    compute_row,
    row_energies,
)
from streamseg.engine.kernels import allocating_kernel as kernel
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND

_EARLY_DURATION_S: Final = 2.2
_MAX_ECHO_ROWS: Final = 45  # how far a cue that resembles itself is waited for
_THRESHOLD: Final = 7.0  # standard deviations, heard to its end
_THRESHOLD_EARLY: Final = 9.0
_THRESHOLD_REPEATING: Final = (
    18.0  # of a cue whose beginning comes again: only uncovered the first one is sure to be heard
)
_SELF_CORRELATION: Final = 0.35  # correlation
_MIN_CORRELATION: Final = 0.05  # correlation from which on it is asked whether the beginning was there too
_FIRST_HALF_RATIO: Final = 0.45  # how alike the first half must be, for the whole being alike by 1
_WAIT_STEPS: Final = 4  # places in which a better one may come, and as many more as a cue resembles itself after
_BASELINE_S: Final = 30.0  # over which the usual correlation is known
_INITIAL_SPREAD: Final = 1.5  # deviation of the correlation, times the root of the cells: where a stream begins
_MIN_SPREAD_RATIO: Final = 0.7  # and how much of that it never falls below


@kernel
def _correlation(past: FingerprintRows, energy: Floats, newest: int, fingerprint: FingerprintRows, own: float) -> float:
    """Correlation of a cue, whose degrees squared sum to `own`, with the rows of a ring that end at frame `newest`."""
    rows, size = fingerprint.shape[0], past.shape[0]
    total, there = 0.0, 0.0
    for r in range(rows):
        at = (newest - (rows - 1 - r) * ROW_HOP) % size
        dot = np.int32(0)
        for i in range(ROW_WIDTH):
            dot = np.int32(dot + np.int32(fingerprint[r, i]) * np.int32(past[at, i]))
        total += float(dot)
        there += energy[at]
    # Near silence correlates with anything; it counts as if it were fuller than it is.
    return float(total / np.sqrt(own * max(there, 0.25 * own)))


# What is known of each sliding print, by place.
_ENERGY, _FIRST_HALF_ENERGY, _SPREAD, _MEAN, _SQUARE, _BEST, _START, _WAIT_COUNT, _STATE_SIZE = range(9)


@kernel
def _update_detector(state: Floats, correlation: float, begins: bool, start: int, threshold: float, wait: int) -> bool:
    """Weigh the correlation at one place, where the beginning of the print may be missing; whether the best is past."""
    fading = ROW_HOP / (_BASELINE_S * FRAMES_PER_SECOND)
    std = np.sqrt(max(state[_SQUARE], (_MIN_SPREAD_RATIO * state[_SPREAD]) ** 2))
    score = (correlation - state[_MEAN]) / std
    usual = max(-3.0, min(3.0, score)) * std  # a cue itself is not usual
    state[_MEAN] += fading * usual
    state[_SQUARE] += fading * (usual * usual - state[_SQUARE])
    if begins and score >= threshold and (state[_WAIT_COUNT] < 0.0 or score > state[_BEST]):
        state[_BEST], state[_START], state[_WAIT_COUNT] = score, start, 0.0
    elif state[_WAIT_COUNT] >= 0.0:
        state[_WAIT_COUNT] += 1.0
    if state[_WAIT_COUNT] < wait:
        return False
    state[_WAIT_COUNT] = -1.0
    return True


@kernel
def _match_frames(
    mel_db: Floats,
    number: int,
    before: Floats,
    past: FingerprintRows,
    energy: Floats,
    prints: FingerprintRows,
    first: Ints,
    thresholds: Floats,
    wait: Ints,
    states: Floats,
    matched_flags: Ints,
) -> int:
    """Take frames, of which the first has this number, until prints were found; how many were taken.

    Print p is rows first[p] to first[p + 1] of `prints`. found[p]: whether it was found at the last frame taken.
    """
    matched_flags[:] = 0
    for i in range(mel_db.shape[0]):
        frame = number + i
        at = frame % past.shape[0]
        if frame == 0:
            before[:] = mel_db[0]  # before the first frame it was as in it
        lagged = np.empty((len(LAGS), BANDS + 1))
        for k in range(len(LAGS)):
            lagged[k] = before[(frame - LAGS[k]) % before.shape[0]]
        compute_row(mel_db[i], lagged, past[at])
        before[frame % before.shape[0]] = mel_db[i]
        energy[at] = 0.0
        for x in past[at]:
            energy[at] += float(x) * float(x)
        if frame % ROW_HOP:
            continue
        anything = False
        for p in range(thresholds.size):
            start = frame - (first[p + 1] - first[p] - 1) * ROW_HOP
            if start >= 0:
                rows = prints[first[p] : first[p + 1]]
                correlation = _correlation(past, energy, frame, rows, states[p, _ENERGY])
                half = rows.shape[0] // 2
                begins = correlation < _MIN_CORRELATION or (
                    _correlation(past, energy, start + (half - 1) * ROW_HOP, rows[:half], states[p, _FIRST_HALF_ENERGY])
                    > _FIRST_HALF_RATIO * correlation
                )
                if _update_detector(states[p], correlation, begins, start, thresholds[p], wait[p]):
                    matched_flags[p] = 1
                    anything = True
        if anything:
            return i + 1
    return int(mel_db.shape[0])


def _find_self_similarity(rows: FingerprintRows, beginning: int, farthest: int) -> int:
    """The largest shift, up to `farthest` rows, at which the first rows of a cue resemble later ones; 0 for none."""
    first, energy = rows[:beginning].astype(np.float64), row_energies(rows)
    for shift in range(min(farthest, len(rows) - beginning // 2), _WAIT_STEPS, -1):
        later = rows[shift : shift + beginning].astype(np.float64)
        alike = np.sum(first[: len(later)] * later)
        if alike > _SELF_CORRELATION * np.sqrt(
            energy[: len(later)].sum() * energy[shift : shift + beginning].sum() + 1.0
        ):
            return shift
    return 0


class FingerprintMatch(NamedTuple):
    """A cue was heard. start: the frame it started with. score: how far beyond chance, standard deviations."""

    name: str
    start: int
    score: float


class FingerprintMatcher:
    """Feature frames in; taught sounds that were heard out. Pickles between pushes."""

    def __init__(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        early = round(_EARLY_DURATION_S * FRAMES_PER_SECOND / ROW_HOP)
        self._fingerprints = fingerprints
        self._templates: list[tuple[int, FingerprintRows, float]] = []  # of which cue, rows, score needed
        for number, fingerprint in enumerate(fingerprints):
            if len(fingerprint.rows) > 1.5 * early:
                repeats = _find_self_similarity(fingerprint.rows, early, len(fingerprint.rows)) > 0
                self._templates.append(
                    (number, fingerprint.rows[:early], _THRESHOLD_REPEATING if repeats else _THRESHOLD_EARLY)
                )
            self._templates.append((number, fingerprint.rows, _THRESHOLD))
        self._rows = np.concatenate([rows for _, rows, _ in self._templates] or [np.zeros((0, ROW_WIDTH), np.int16)])
        self._first_rows = np.cumsum([0, *(len(rows) for _, rows, _ in self._templates)])
        self._thresholds = np.array([needed for _, _, needed in self._templates])
        self._wait_steps = np.array(
            [
                _WAIT_STEPS + (_find_self_similarity(rows, len(rows), _MAX_ECHO_ROWS) if needed == _THRESHOLD else 0)
                for _, rows, needed in self._templates
            ]
        )
        self._matched_flags = np.zeros(len(self._templates), np.int64)
        self._states = np.zeros((len(self._templates), _STATE_SIZE))
        self._states[:, _ENERGY] = [row_energies(rows).sum() for _, rows, _ in self._templates]
        self._states[:, _FIRST_HALF_ENERGY] = [
            row_energies(rows)[: len(rows) // 2].sum() for _, rows, _ in self._templates
        ]
        self._states[:, _SPREAD] = [
            _INITIAL_SPREAD / math.sqrt(np.count_nonzero(rows)) for _, rows, _ in self._templates
        ]
        self._states[:, _SQUARE] = self._states[:, _SPREAD] ** 2
        self._row_ring = np.zeros(
            (ROW_HOP * max((len(fingerprint.rows) for fingerprint in fingerprints), default=1), ROW_WIDTH), np.int16
        )
        self._energy = np.zeros(len(self._row_ring))
        self._lagged_bands = np.zeros((LAGS[-1] + 1, BANDS + 1))
        self.start_stretch()

    @property
    def detection_delay_s(self) -> float:
        """Seconds after its start within which every cue is known at the soonest; 0 where there is none."""
        soonest: dict[int, int] = {}
        for (number, rows, _), wait in zip(self._templates, self._wait_steps, strict=True):
            soonest[number] = min(soonest.get(number, 10**6), len(rows) + int(wait))
        if not soonest:
            return 0.0
        return ROW_HOP * max(soonest.values()) / FRAMES_PER_SECOND + FRAME / ENGINE_RATE

    def start_stretch(self) -> None:
        """Hear afresh; frames are counted from 0 again."""
        self._frame = 0
        self._last_start = [-(10**9)] * len(self._fingerprints)  # where each was found last
        self._states[:, _WAIT_COUNT] = -1.0

    def push(self, frames: Floats) -> list[FingerprintMatch]:
        """Take feature frames, shape (n, columns)."""
        heard: list[FingerprintMatch] = []
        at = 0 if self._templates else len(frames)
        while at < len(frames):
            taken = _match_frames(
                frames[at:, LOG_MEL], self._frame, self._lagged_bands, self._row_ring, self._energy,
                self._rows, self._first_rows, self._thresholds, self._wait_steps, self._states, self._matched_flags,
            )  # fmt: skip
            at += taken
            self._frame += taken
            for p in np.flatnonzero(self._matched_flags):
                number, start, score = (
                    self._templates[p][0],
                    int(self._states[p, _START]),
                    float(self._states[p, _BEST]),
                )
                if start - self._last_start[number] >= 0.9 * ROW_HOP * len(
                    self._fingerprints[number].rows
                ):  # it is not over before
                    self._last_start[number] = start
                    heard.append(FingerprintMatch(self._fingerprints[number].name, start, score))
        return heard
