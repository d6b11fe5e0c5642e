"""Onsets, tempo and beat phase, from the onset strength alone, frame by frame.

Tempo: the autocorrelation of the onset strength, fading over 10 s and brought up to date at each frame (the running
form of Ellis 2007), at the beat and its multiples; and its spectrum, at the beat and its halves, since a dotted beat is
mistaken in the one and not in the other (Peeters 2005); all under a log-normal prior on tempo. The prior's centre is
slower than the customary 120: where eighths are played as strongly as beats, people still count the beats. Strengths
are taken by their root, so that a few loud onsets do not decide alone.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import Floats, Ints
from streamseg.engine.kernels import subkernel
from streamseg.settings import FRAMES_PER_SECOND

MEMORY_S: Final = 10.0
FADE: Final = math.exp(-1.0 / (MEMORY_S * FRAMES_PER_SECOND))
MEAN_SHARE: Final = 1.0 / FRAMES_PER_SECOND  # the running mean an onset must exceed looks back about a second
LAGS: Final = 401
MIN_PERIOD, MAX_PERIOD = int(60.0 / 220.0 * FRAMES_PER_SECOND), int(60.0 / 45.0 * FRAMES_PER_SECOND)  # beats, in frames
ESTIMATE_HOP: Final = 22  # frames between two estimates
FIRST_ESTIMATE_FRAME: Final = int(3.0 * FRAMES_PER_SECOND)  # no estimate before three seconds of sound
PRIOR_BPM, PRIOR_OCTAVES = 95.0, 0.75
MULTIPLE_WEIGHTS: Final = (1.0, 0.7, 0.3, 0.6)  # what one, two, three and four beats weigh: bars are mostly of four
SPECTRAL_WEIGHT: Final = 0.7  # what the spectrum weighs beside them
FASTEST_BPM: Final = 225.0
RISE_DB: Final = 1.0  # an onset exceeds the running mean by this
ONSET_DELAY: Final = 2  # frames

ONSET: Final = COLUMNS["onset"].start
ONSET_FOUND: Final = COLUMNS["onset_found"].start
TEMPO: Final = COLUMNS["tempo_bpm"].start
CONFIDENCE: Final = COLUMNS["tempo_confidence"].start
PHASE: Final = COLUMNS["beat_phase"].start


@subkernel
def correlation_near(correlation: Floats, lag: float) -> float:
    """What a lag holds that need not be whole: beats between frames spread over two of them."""
    whole = round(lag)
    beside: float = correlation[whole - 1] + correlation[whole + 1]
    return beside + float(correlation[whole])


@subkernel
def parabolic_peak(correlation: Floats, lag: int) -> float:
    """Where the parabola through a value and its neighbours is highest."""
    left, middle, right = float(correlation[lag - 1]), float(correlation[lag]), float(correlation[lag + 1])
    bend = left - 2.0 * middle + right
    return lag + 0.5 * (left - right) / bend if bend < 0.0 else float(lag)


def tempo_cosines() -> Floats:
    """What takes an autocorrelation to its spectrum at each beat, its half and its quarter, added up.

    Shape (LONGEST - SHORTEST + 1, LAGS); under half a Hann window, so that what is old counts less.
    """
    beats = np.arange(MIN_PERIOD, MAX_PERIOD + 1)[:, None]
    lags = np.arange(LAGS)
    window = 0.5 + 0.5 * np.cos(np.pi * lags / LAGS)
    window[0] = 0.0  # what an onset has in common with itself tells nothing
    table: Floats = sum(np.cos(2.0 * np.pi * parts * lags / beats) for parts in (1, 2, 4)) * window / 30.0
    table -= table.sum(axis=1, keepdims=True) / (LAGS - MIN_PERIOD) * (lags >= MIN_PERIOD)  # the mean has no spectrum
    return table


@subkernel
def comb_score(correlation: Floats, lag: int, mean: float) -> float:
    """What the onsets have in common with those one to four beats before, beyond half the mean of all lags."""
    score = MULTIPLE_WEIGHTS[0] * (correlation[lag] - 0.5 * mean)
    for multiple in range(2, 5):
        around = lag * multiple
        highest = max(max(correlation[around - 1], correlation[around]), correlation[around + 1])
        score += MULTIPLE_WEIGHTS[multiple - 1] * (highest - 0.5 * mean)
    found: float = max(0.0, score)
    return found


@subkernel
def tempo_prior(lag: int) -> float:
    """How likely people are to count beats of this length, 1 at the most."""
    octaves = math.log2(60.0 * FRAMES_PER_SECOND / lag / PRIOR_BPM) / PRIOR_OCTAVES
    likely: float = math.exp(-0.5 * octaves * octaves)
    return likely


@subkernel
def estimate_beat_period(correlation: Floats, waves: Floats) -> float:
    """The beat's length in frames, or 0 where nothing repeats."""
    mean = 0.0
    for lag in range(MIN_PERIOD, LAGS):
        mean += correlation[lag] / (LAGS - MIN_PERIOD)
    best, best_score = 0, 0.0
    for lag in range(MIN_PERIOD, MAX_PERIOD + 1):
        spectral = 0.0
        for k in range(LAGS):
            spectral += waves[lag - MIN_PERIOD, k] * correlation[k]
        score = (comb_score(correlation, lag, mean) + SPECTRAL_WEIGHT * max(0.0, spectral)) * tempo_prior(lag)
        if score > best_score:
            best, best_score = lag, score
    if best == 0:
        return 0.0
    # The spectrum tells a beat from a dotted one, but is strong at its halves: which is counted, the comb tells.
    found, best_score = best, 0.0
    for lag in (found // 2, (found + 1) // 2, found, 2 * found - 1, 2 * found, 2 * found + 1):
        if MIN_PERIOD <= lag <= MAX_PERIOD:
            score = comb_score(correlation, lag, mean) * tempo_prior(lag)
            if score > best_score:
                best, best_score = lag, score
    near_peak = best
    if correlation[best - 1] > correlation[near_peak]:
        near_peak = best - 1
    if correlation[best + 1] > correlation[near_peak]:
        near_peak = best + 1
    period: float = parabolic_peak(correlation, near_peak)
    if abs(period - best) > 1.0:
        period = float(best)
    multiple = 2  # a peak at a multiple of the beat tells its length so many times more exactly
    while multiple <= 8 and period * multiple + 3.0 < LAGS:
        around = round(period * multiple)
        top = around - 2
        for lag in range(around - 1, around + 3):
            if correlation[lag] > correlation[top]:
                top = lag
        if abs(top - around) == 2:
            break
        period = parabolic_peak(correlation, top) / multiple
        multiple += 1
    for parts in range(2, 4):
        # Bare pulses: as strong at each part of the beat, nothing between the parts. Then the part is the beat.
        part = period / parts
        if part * FASTEST_BPM < 60.0 * FRAMES_PER_SECOND:
            continue
        beat = correlation_near(correlation, period)
        alike = (
            correlation_near(correlation, part) > 0.7 * beat
            and correlation_near(correlation, part * (parts - 1)) > 0.7 * beat
        )
        if alike and correlation_near(correlation, part * 1.5) < 0.05 * beat:
            return part
    return period


@subkernel
def beat_phase_at(past: Floats, period: float) -> float:
    """How far into the beat the newest rise lies, 0 to 1: the phase of the rises' component at that period."""
    turn_re, turn_im = math.cos(2.0 * math.pi / period), math.sin(2.0 * math.pi / period)
    at_re, at_im = 1.0, 0.0
    re = im = 0.0
    for age in range(past.size):
        re += past[age] * at_re
        im += past[age] * at_im
        at_re, at_im = at_re * turn_re - at_im * turn_im, at_re * turn_im + at_im * turn_re
    return math.atan2(im, re) / (2.0 * math.pi) % 1.0


@subkernel
def update_rhythm(before: Floats, correlation: Floats, waves: Floats, state: Floats, counts: Ints, out: Floats) -> None:
    """Take a frame's onset strength in; write whether an onset was found, tempo (0 if none), confidence, beat phase.

    before: the last LAGS rises, newest first from a turning place, twice (2 * LAGS). correlation: by lag. waves: as
    of `waves`. state: running mean, period in frames, confidence, phase, the last onset strengths (2 * ONSET_DELAY + 1,
    newest last). counts[1]: frames so far.
    """
    strength = out[ONSET]
    recent = state[4:]
    for i in range(recent.size - 1):
        recent[i] = recent[i + 1]
    recent[recent.size - 1] = strength
    middle = recent[ONSET_DELAY]
    found = middle > state[0] + RISE_DB
    for i in range(recent.size):
        found = found and (recent[i] < middle or (i >= ONSET_DELAY and recent[i] == middle))
    out[ONSET_FOUND] = 1.0 if found else 0.0

    state[0] += MEAN_SHARE * (strength - state[0])
    rise = math.sqrt(max(0.0, strength - state[0]))
    newest = LAGS - 1 - counts[1] % LAGS  # written twice, so that the past is one piece wherever it begins
    before[newest] = before[newest + LAGS] = rise
    past = before[newest : newest + LAGS]
    for lag in range(LAGS):
        correlation[lag] = FADE * correlation[lag] + rise * past[lag]

    if counts[1] >= FIRST_ESTIMATE_FRAME and counts[1] % ESTIMATE_HOP == 0:
        period = estimate_beat_period(correlation, waves) if correlation[0] > 1e-3 else 0.0
        state[1] = period
        if period > 0.0:
            mean = 0.0
            for lag in range(LAGS):
                mean += correlation[lag] / LAGS
            alone = correlation[0] + 2.0 * correlation[1] - 3.0 * mean
            state[2] = (
                min(1.0, max(0.0, (correlation_near(correlation, period) - 3.0 * mean) / alone)) if alone > 0.0 else 0.0
            )
            state[3] = beat_phase_at(past, period)
        else:
            state[2] = 0.0
    elif state[1] > 0.0:
        state[3] = (state[3] + 1.0 / state[1]) % 1.0
    out[TEMPO] = 60.0 * FRAMES_PER_SECOND / state[1] if state[1] > 0.0 else 0.0
    out[CONFIDENCE] = state[2]
    out[PHASE] = state[3] if state[1] > 0.0 else 0.0
