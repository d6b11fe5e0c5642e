"""Estimates onsets, tempo and beat phase from the onset strength, frame by frame.

Tempo: the autocorrelation of the onset strength, fading over 10 s and updated at each frame (the running form of Ellis
2007), at the beat and its multiples; and its spectrum, at the beat and its halves, since a dotted beat is mistaken in
the one and not in the other (Peeters 2005); all under a log-normal prior on tempo. The prior's centre is slower than
the customary 120: where eighths are played as strongly as beats, people still count the beats. The square root of the
strengths is used, so that a few loud onsets do not decide alone.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import Floats
from streamseg.engine.kernels import subkernel
from streamseg.settings import FRAMES_PER_SECOND

MEMORY_S: Final = 10.0
FADE: Final = math.exp(-1.0 / (MEMORY_S * FRAMES_PER_SECOND))
MEAN_DECAY: Final = 1.0 / FRAMES_PER_SECOND  # of the running mean that an onset must exceed: about a second
LAGS: Final = 401
MIN_PERIOD, MAX_PERIOD = int(60.0 / 220.0 * FRAMES_PER_SECOND), int(60.0 / 45.0 * FRAMES_PER_SECOND)  # beats, in frames
ESTIMATE_HOP: Final = 22  # frames from one estimate to the next
FIRST_ESTIMATE_FRAME: Final = int(3.0 * FRAMES_PER_SECOND)
PRIOR_BPM, PRIOR_OCTAVES = 95.0, 0.75
MULTIPLE_WEIGHTS: Final = (1.0, 0.7, 0.3, 0.6)  # of one to four beats: bars are mostly of four
SPECTRAL_WEIGHT: Final = 0.7  # of the spectrum, relative to them
FASTEST_BPM: Final = 225.0
RISE_DB: Final = 1.0  # by which an onset exceeds the running mean
ONSET_DELAY: Final = 2  # frames until an onset is reported

# Indices of the state: running mean of the onset strength, beat period in frames (0: none), confidence, beat phase, and
# from the last one on the newest 2 * ONSET_DELAY + 1 onset strengths, newest last.
MEAN_ONSET, PERIOD, PERIOD_CONFIDENCE, BEAT_PHASE, RECENT_ONSETS = range(5)
STATE_SIZE: Final = RECENT_ONSETS + 2 * ONSET_DELAY + 1

ONSET: Final = COLUMNS["onset"].start
ONSET_FOUND: Final = COLUMNS["onset_found"].start
TEMPO: Final = COLUMNS["tempo_bpm"].start
CONFIDENCE: Final = COLUMNS["tempo_confidence"].start
PHASE: Final = COLUMNS["beat_phase"].start


@subkernel
def sum_correlation_near(correlation: Floats, lag: float) -> float:
    """Return the sum of three values of `correlation`: at the whole lag nearest to `lag`, one lag lower and one higher.

    The correlation of beats that lie between two frames spreads over neighbouring lags.
    """
    nearest = round(lag)
    neighbours: float = correlation[nearest - 1] + correlation[nearest + 1]
    return neighbours + float(correlation[nearest])


@subkernel
def locate_parabola_peak(correlation: Floats, lag: int) -> float:
    """Return the fractional lag at which the parabola through correlation[lag] and its neighbours is highest.

    `lag` itself where the parabola has no maximum.
    """
    left, middle, right = float(correlation[lag - 1]), float(correlation[lag]), float(correlation[lag + 1])
    curvature = left - 2.0 * middle + right
    return lag + 0.5 * (left - right) / curvature if curvature < 0.0 else float(lag)


def make_tempo_cosines() -> Floats:
    """Make cosine weights, a row for each beat period, that turn an autocorrelation into the spectrum at that period.

    The spectrum is summed over the period, half of it and a quarter of it. Periods are in frames, from MIN_PERIOD to
    MAX_PERIOD. Returns float64 (MAX_PERIOD - MIN_PERIOD + 1, LAGS), under half a Hann window: long lags count less.
    """
    periods = np.arange(MIN_PERIOD, MAX_PERIOD + 1)[:, None]
    lags = np.arange(LAGS)
    window = 0.5 + 0.5 * np.cos(np.pi * lags / LAGS)
    window[0] = 0.0  # the correlation of an onset with itself tells nothing about the tempo
    table: Floats = sum(np.cos(2.0 * np.pi * parts * lags / periods) for parts in (1, 2, 4)) * window / 30.0
    # A constant shall have no spectrum.
    table -= table.sum(axis=1, keepdims=True) / (LAGS - MIN_PERIOD) * (lags >= MIN_PERIOD)
    return table


@subkernel
def compute_comb_score(correlation: Floats, lag: int, mean: float) -> float:
    """Return how strongly onsets repeat after one to four beats of `lag` frames, as a weighted sum of correlations.

    Only what exceeds half of `mean`, the mean correlation of all lags, counts. 0 or more.
    """
    score = MULTIPLE_WEIGHTS[0] * (correlation[lag] - 0.5 * mean)
    for multiple in range(2, 5):
        around = lag * multiple
        highest = max(max(correlation[around - 1], correlation[around]), correlation[around + 1])
        score += MULTIPLE_WEIGHTS[multiple - 1] * (highest - 0.5 * mean)
    return float(max(0.0, score))


@subkernel
def compute_tempo_prior(lag: int) -> float:
    """Return the prior weight of a beat period of `lag` frames, 0 to 1: how likely people are to count such beats."""
    octaves = math.log2(60.0 * FRAMES_PER_SECOND / lag / PRIOR_BPM) / PRIOR_OCTAVES
    return math.exp(-0.5 * octaves * octaves)


@subkernel
def estimate_beat_period(correlation: Floats, cosines: Floats) -> float:
    """Estimate the beat period from the onsets' autocorrelation; return the period in frames, 0 if no onsets repeat.

    correlation: float64 (LAGS,). cosines: from `make_tempo_cosines`.
    """
    mean = 0.0
    for lag in range(MIN_PERIOD, LAGS):
        mean += correlation[lag] / (LAGS - MIN_PERIOD)
    best, best_score = 0, 0.0
    for lag in range(MIN_PERIOD, MAX_PERIOD + 1):
        spectral = 0.0
        for k in range(LAGS):
            spectral += cosines[lag - MIN_PERIOD, k] * correlation[k]
        score = (
            compute_comb_score(correlation, lag, mean) + SPECTRAL_WEIGHT * max(0.0, spectral)
        ) * compute_tempo_prior(lag)
        if score > best_score:
            best, best_score = lag, score
    if best == 0:
        return 0.0
    # The spectrum tells a beat from a dotted one, but is strong at its halves too; the comb decides among these.
    period_found, best_score = best, 0.0
    for lag in (
        period_found // 2, (period_found + 1) // 2, period_found,
        2 * period_found - 1, 2 * period_found, 2 * period_found + 1,
    ):  # fmt: skip
        if MIN_PERIOD <= lag <= MAX_PERIOD:
            score = compute_comb_score(correlation, lag, mean) * compute_tempo_prior(lag)
            if score > best_score:
                best, best_score = lag, score
    peak = best
    if correlation[best - 1] > correlation[peak]:
        peak = best - 1
    if correlation[best + 1] > correlation[peak]:
        peak = best + 1
    period: float = locate_parabola_peak(correlation, peak)
    if abs(period - best) > 1.0:
        period = float(best)
    multiple = 2  # a peak at a multiple of the beat gives its period that many times more exactly
    while multiple <= 8 and period * multiple + 3.0 < LAGS:
        around = round(period * multiple)
        top = around - 2
        for lag in range(around - 1, around + 3):
            if correlation[lag] > correlation[top]:
                top = lag
        if abs(top - around) == 2:
            break
        period = locate_parabola_peak(correlation, top) / multiple
        multiple += 1
    for parts in range(2, 4):
        # Bare pulses are as strong at each part of the beat, with nothing between: then the part is the beat.
        part = period / parts
        if part * FASTEST_BPM < 60.0 * FRAMES_PER_SECOND:
            continue
        beat = sum_correlation_near(correlation, period)
        is_divided = (
            sum_correlation_near(correlation, part) > 0.7 * beat
            and sum_correlation_near(correlation, part * (parts - 1)) > 0.7 * beat
        )
        if is_divided and sum_correlation_near(correlation, part * 1.5) < 0.05 * beat:
            return part
    return period


@subkernel
def estimate_position_in_beat(past: Floats, period: float) -> float:
    """Return the position of the newest frame within the beat, 0 (on the beat) to 1.

    That is the phase of the Fourier component at `period` frames. past: float64 (LAGS,), rises of the onset strength,
    newest first.
    """
    step_re, step_im = math.cos(2.0 * math.pi / period), math.sin(2.0 * math.pi / period)
    at_re, at_im = 1.0, 0.0
    re = im = 0.0
    for age in range(past.size):
        re += past[age] * at_re
        im += past[age] * at_im
        at_re, at_im = at_re * step_re - at_im * step_im, at_re * step_im + at_im * step_re
    return math.atan2(im, re) / (2.0 * math.pi) % 1.0


@subkernel
def write_onset_tempo_and_beat(
    rises: Floats, correlation: Floats, cosines: Floats, state: Floats, frame: int, out: Floats
) -> None:
    """Update `state` with the onset strength in `out`; write onset, tempo (bpm), its confidence, beat phase to `out`.

    Onset is 0 or 1; tempo is 0 if none is found.

    rises: float64 (2 * LAGS,), the last LAGS rises, newest first, as a ring that is stored twice. correlation: float64
    (LAGS,). cosines: from `make_tempo_cosines`. state: float64 (STATE_SIZE,). frame: the frame's number. out: the row.
    """
    strength = out[ONSET]
    recent = state[RECENT_ONSETS:]
    for i in range(recent.size - 1):
        recent[i] = recent[i + 1]
    recent[recent.size - 1] = strength
    middle = recent[ONSET_DELAY]
    is_onset = middle > state[MEAN_ONSET] + RISE_DB
    for i in range(recent.size):
        is_onset = is_onset and (recent[i] < middle or (i >= ONSET_DELAY and recent[i] == middle))
    out[ONSET_FOUND] = 1.0 if is_onset else 0.0

    state[MEAN_ONSET] += MEAN_DECAY * (strength - state[MEAN_ONSET])
    rise = math.sqrt(max(0.0, strength - state[MEAN_ONSET]))
    newest = LAGS - 1 - frame % LAGS  # stored twice, so that the past is one piece wherever it begins
    rises[newest] = rises[newest + LAGS] = rise
    past = rises[newest : newest + LAGS]
    for lag in range(LAGS):
        correlation[lag] = FADE * correlation[lag] + rise * past[lag]

    if frame >= FIRST_ESTIMATE_FRAME and frame % ESTIMATE_HOP == 0:
        period = estimate_beat_period(correlation, cosines) if correlation[0] > 1e-3 else 0.0
        state[PERIOD] = period
        if period > 0.0:
            mean = 0.0
            for lag in range(LAGS):
                mean += correlation[lag] / LAGS
            at_zero = correlation[0] + 2.0 * correlation[1] - 3.0 * mean
            at_period = sum_correlation_near(correlation, period) - 3.0 * mean
            state[PERIOD_CONFIDENCE] = min(1.0, max(0.0, at_period / at_zero)) if at_zero > 0.0 else 0.0
            state[BEAT_PHASE] = estimate_position_in_beat(past, period)
        else:
            state[PERIOD_CONFIDENCE] = 0.0
    elif state[PERIOD] > 0.0:
        state[BEAT_PHASE] = (state[BEAT_PHASE] + 1.0 / state[PERIOD]) % 1.0
    out[TEMPO] = 60.0 * FRAMES_PER_SECOND / state[PERIOD] if state[PERIOD] > 0.0 else 0.0
    out[CONFIDENCE] = state[PERIOD_CONFIDENCE]
    out[PHASE] = state[BEAT_PHASE] if state[PERIOD] > 0.0 else 0.0
