"""Finds fingerprints of jingles in the stream, even beneath talk.

A fingerprint holds, for every second frame and each mel band, whether the difference to the next band grew or shrank,
and by how much: the derivative over band and time of Haitsma & Kalker (2002), over two spans of time and in fifteen
levels instead of one bit, because beneath a louder voice only the strongest changes remain. Level and equalisation
cancel out.

The fingerprint slides along the stream. Its correlation is compared with the mean and standard deviation that the
correlation has in this stream, so a jingle that resembles everything must correlate more. A jingle is detected after
its first seconds where nothing covers it, otherwise at its end. The best place gives its start, to about a hundredth
of a second.
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
    compute_fingerprint_row,
    compute_row_energies,
)
from streamseg.engine.kernels import kernel, subkernel
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND

_EARLY_DURATION_S: Final = 2.2
_MAX_ECHO_ROWS: Final = 45  # up to this distance a better match is waited for where a jingle resembles itself
_THRESHOLD: Final = 7.0  # standard deviations, of a whole jingle
_THRESHOLD_EARLY: Final = 9.0  # of its first seconds
_THRESHOLD_REPEATING: Final = 18.0  # of first seconds that recur within it: only an uncovered one is surely the first
_SELF_CORRELATION: Final = 0.35
_MIN_CORRELATION: Final = 0.05  # from this correlation on, the first half must match too
_FIRST_HALF_RATIO: Final = 0.45  # correlation of the first half over that of the whole, at the least
_WAIT_STEPS: Final = 4  # rows in which a better match may come
_BASELINE_S: Final = 30.0  # time constant of the running mean and variance of the correlation
_INITIAL_STD: Final = 1.5  # of the correlation at the start of a stream, times the root of the non-zero cells
_MIN_STD_RATIO: Final = 0.7  # the least standard deviation, relative to that
_MIN_ENERGY_RATIO: Final = 0.25  # rows of the stream count as having at least this share of the template's energy
_MIN_DISTANCE_RATIO: Final = 0.9  # of a jingle's length, from one start to the next
_NEVER: Final = -(10**9)  # a frame before every other


class TemplateArrays(NamedTuple):
    """The templates that the matcher searches for: fingerprint rows of whole jingles or of their first seconds.

    T: number of templates. M: number of their rows.
    """

    rows: FingerprintRows  # int16 (M, ROW_WIDTH), one template after the other
    first_row: Ints  # int64 (T + 1,) index of each template's first row; M
    threshold: Floats  # float64 (T,) score of a match, standard deviations
    wait_steps: Ints  # int64 (T,) rows after the best one before it counts as the match
    energy: Floats  # float64 (T,) sum of squares of the rows
    first_half_energy: Floats  # float64 (T,) the same of the first half
    initial_std: Floats  # float64 (T,) of the correlation


class MatcherState(NamedTuple):
    """What the matcher stores between frames: newest frames and fingerprint rows, and each template's pending match.

    R: number of fingerprint rows. T: number of templates.
    """

    mel_db: Floats  # float64 (LAGS[-1] + 1, BANDS + 1) ring of the newest frames, by frame number
    lagged_db: Floats  # float64 (len(LAGS), BANDS + 1) scratch
    rows: FingerprintRows  # int16 (R, ROW_WIDTH) ring of the newest rows, by frame number
    row_energy: Floats  # float64 (R,) sum of squares of each
    mean: Floats  # float64 (T,) running mean of the correlation
    variance: Floats  # float64 (T,) its running variance
    best_score: Floats  # float64 (T,) of the match that is pending
    best_start: Ints  # int64 (T,) the frame at which it starts
    wait_count: Ints  # int64 (T,) rows since then; -1: no match is pending
    is_match: Ints  # int64 (T,) 1: the pending match was confirmed by the last frame


@subkernel
def _correlate(state: MatcherState, newest: int, template: FingerprintRows, energy: float) -> float:
    """Return the correlation, -1 to 1, of a template with the rows of the stream that end at frame `newest`.

    template: int16 (n, ROW_WIDTH). energy: the sum of its squares.
    """
    n, size = template.shape[0], state.rows.shape[0]
    total, stream_energy = 0.0, 0.0
    for r in range(n):
        at = (newest - (n - 1 - r) * ROW_HOP) % size
        dot = np.int32(0)
        for i in range(ROW_WIDTH):
            dot = np.int32(dot + np.int32(template[r, i]) * np.int32(state.rows[at, i]))
        total += float(dot)
        stream_energy += state.row_energy[at]
    # Near silence correlates with everything, hence the least energy.
    return float(total / np.sqrt(energy * max(stream_energy, _MIN_ENERGY_RATIO * energy)))


@subkernel
def _update_template(
    p: int, correlation: float, has_beginning: bool, start: int, templates: TemplateArrays, state: MatcherState
) -> bool:
    """Update template p with its newest correlation; return whether its pending match is confirmed.

    has_beginning: whether the first half matches too. start: the frame at which the template would start.
    """
    decay = ROW_HOP / (_BASELINE_S * FRAMES_PER_SECOND)
    std = np.sqrt(max(state.variance[p], (_MIN_STD_RATIO * templates.initial_std[p]) ** 2))
    score = (correlation - state.mean[p]) / std
    difference = max(-3.0, min(3.0, score)) * std  # clipped, so that a jingle hardly moves the statistics
    state.mean[p] += decay * difference
    state.variance[p] += decay * (difference * difference - state.variance[p])
    is_pending = state.wait_count[p] >= 0
    if has_beginning and score >= templates.threshold[p] and (not is_pending or score > state.best_score[p]):
        state.best_score[p], state.best_start[p], state.wait_count[p] = score, start, 0
    elif is_pending:
        state.wait_count[p] += 1
    if state.wait_count[p] < templates.wait_steps[p]:
        return False
    state.wait_count[p] = -1
    return True


@kernel
def _match_frames(mel_db: Floats, first_frame: int, templates: TemplateArrays, state: MatcherState) -> int:
    """Process frames until a match is confirmed; return how many were processed. Writes `state.is_match`.

    mel_db: float64 (n, BANDS + 1), dB. first_frame: number of the first frame since the stretch began.
    """
    count = templates.threshold.size
    for p in range(count):
        state.is_match[p] = 0
    for i in range(mel_db.shape[0]):
        frame = first_frame + i
        at, mel_size = frame % state.rows.shape[0], state.mel_db.shape[0]
        if frame == 0:  # frames before the first one count as equal to it
            for row in range(mel_size):
                for b in range(BANDS + 1):
                    state.mel_db[row, b] = mel_db[0, b]
        for k in range(len(LAGS)):
            lagged_row = (frame - LAGS[k]) % mel_size
            for b in range(BANDS + 1):
                state.lagged_db[k, b] = state.mel_db[lagged_row, b]
        compute_fingerprint_row(mel_db[i], state.lagged_db, state.rows[at])
        for b in range(BANDS + 1):
            state.mel_db[frame % mel_size, b] = mel_db[i, b]
        state.row_energy[at] = 0.0
        for k in range(ROW_WIDTH):
            state.row_energy[at] += float(state.rows[at, k]) * float(state.rows[at, k])
        if frame % ROW_HOP:
            continue
        any_match = False
        for p in range(count):
            rows = templates.rows[templates.first_row[p] : templates.first_row[p + 1]]
            start = frame - (rows.shape[0] - 1) * ROW_HOP
            if start < 0:
                continue
            correlation = _correlate(state, frame, rows, templates.energy[p])
            half = rows.shape[0] // 2
            has_beginning = correlation < _MIN_CORRELATION or (
                _correlate(state, start + (half - 1) * ROW_HOP, rows[:half], templates.first_half_energy[p])
                > _FIRST_HALF_RATIO * correlation
            )
            if _update_template(p, correlation, has_beginning, start, templates, state):
                state.is_match[p] = 1
                any_match = True
        if any_match:
            return i + 1
    return int(mel_db.shape[0])


def _find_self_similarity(rows: FingerprintRows, beginning: int, farthest: int) -> int:
    """Return the largest shift, up to `farthest` rows, at which the first rows resemble later ones; 0 for none."""
    first, energy = rows[:beginning].astype(np.float64), compute_row_energies(rows)
    for shift in range(min(farthest, len(rows) - beginning // 2), _WAIT_STEPS, -1):
        later = rows[shift : shift + beginning].astype(np.float64)
        product = np.sum(first[: len(later)] * later)
        if product > _SELF_CORRELATION * np.sqrt(
            energy[: len(later)].sum() * energy[shift : shift + beginning].sum() + 1.0
        ):
            return shift
    return 0


class _Template(NamedTuple):
    """A part of a fingerprint that is searched for by itself: its first seconds, or all of it."""

    number: int  # index of the fingerprint
    rows: FingerprintRows
    threshold: float


class JingleMatch(NamedTuple):
    """A match of a jingle in the stream: name of the jingle, number of the frame where it starts, score of the match.

    start_frame: counted from the start of the stretch. score: standard deviations beyond chance.
    """

    name: str
    start_frame: int
    score: float


class FingerprintMatcher:
    """Compares feature frames of a stream with the fingerprints of jingles, and finds where the jingles start.

    Can be pickled between pushes.
    """

    def __init__(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        """Start a stretch in which all these fingerprints are searched for."""
        self._fingerprints = fingerprints
        self._templates = [each for n, fingerprint in enumerate(fingerprints) for each in _split(n, fingerprint.rows)]
        self._arrays = _make_arrays(self._templates)
        ring_size = ROW_HOP * max((len(fingerprint.rows) for fingerprint in fingerprints), default=1)
        n = len(self._templates)
        self._state = MatcherState(
            mel_db=np.zeros((LAGS[-1] + 1, BANDS + 1)),
            lagged_db=np.zeros((len(LAGS), BANDS + 1)),
            rows=np.zeros((ring_size, ROW_WIDTH), np.int16),
            row_energy=np.zeros(ring_size),
            mean=np.zeros(n),
            variance=self._arrays.initial_std**2,
            best_score=np.zeros(n),
            best_start=np.zeros(n, np.int64),
            wait_count=np.zeros(n, np.int64),
            is_match=np.zeros(n, np.int64),
        )
        self.continue_after_gap()

    @property
    def max_detection_delay_from_start_s(self) -> float:
        """Longest time, over all jingles, from the start of a jingle to its detection, in seconds; 0 without jingles.

        It takes longer where another sound covers the jingle.
        """
        soonest: dict[int, int] = {}
        for template, wait in zip(self._templates, self._arrays.wait_steps, strict=True):
            rows = len(template.rows) + int(wait)
            soonest[template.number] = min(soonest.get(template.number, rows), rows)
        if not soonest:
            return 0.0
        return ROW_HOP * max(soonest.values()) / FRAMES_PER_SECOND + FRAME / ENGINE_RATE

    def continue_after_gap(self) -> None:
        """Prepare for frames after a gap: count frames from 0 again, and discard matches that are not certain yet."""
        self._frame = 0
        self._last_start = [_NEVER] * len(self._fingerprints)
        self._state.wait_count[:] = -1

    def push(self, frames: Floats) -> list[JingleMatch]:
        """Search the next feature frames, float64 (n, COLUMNS_TOTAL); return the jingle matches that became certain."""
        matches: list[JingleMatch] = []
        at = 0 if self._templates else len(frames)
        while at < len(frames):
            n = _match_frames(frames[at:, LOG_MEL], self._frame, self._arrays, self._state)
            at += n
            self._frame += n
            for p in np.flatnonzero(self._state.is_match):
                number = self._templates[p].number
                start, score = int(self._state.best_start[p]), float(self._state.best_score[p])
                fingerprint = self._fingerprints[number]
                if start - self._last_start[number] >= _MIN_DISTANCE_RATIO * ROW_HOP * len(fingerprint.rows):
                    self._last_start[number] = start
                    matches.append(JingleMatch(fingerprint.name, start, score))
        return matches


def _split(number: int, rows: FingerprintRows) -> list[_Template]:
    """Return the templates of one fingerprint: the whole, and before it the first seconds where it is long enough."""
    early = round(_EARLY_DURATION_S * FRAMES_PER_SECOND / ROW_HOP)
    whole = _Template(number, rows, _THRESHOLD)
    if len(rows) <= 1.5 * early:
        return [whole]
    repeats = _find_self_similarity(rows, early, len(rows)) > 0
    return [_Template(number, rows[:early], _THRESHOLD_REPEATING if repeats else _THRESHOLD_EARLY), whole]


def _make_arrays(templates: list[_Template]) -> TemplateArrays:
    energies = [compute_row_energies(each.rows) for each in templates]
    echoes = [
        _find_self_similarity(each.rows, len(each.rows), _MAX_ECHO_ROWS) if each.threshold == _THRESHOLD else 0
        for each in templates
    ]
    return TemplateArrays(
        rows=np.concatenate([np.zeros((0, ROW_WIDTH), np.int16), *(each.rows for each in templates)]),
        first_row=np.cumsum([0, *(len(each.rows) for each in templates)]),
        threshold=np.array([each.threshold for each in templates], np.float64),
        wait_steps=np.array(echoes, np.int64) + _WAIT_STEPS,
        energy=np.array([energy.sum() for energy in energies], np.float64),
        first_half_energy=np.array([energy[: len(energy) // 2].sum() for energy in energies], np.float64),
        initial_std=np.array([_INITIAL_STD / math.sqrt(np.count_nonzero(each.rows)) for each in templates], np.float64),
    )
