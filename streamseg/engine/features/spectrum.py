"""The feature kernel: computes a row of features from each frame of 2,048 samples.

The order within a frame: level, spectrum, magnitudes, bands (mel and chroma in one pass), timbre and onset strength,
chroma, shape, contrast, pitch, tuning, rhythm. Each part reads what those before it wrote; `FeatureExtractor` owns all
arrays. A `row` or `out` is the frame's row, float64 (COLUMNS_TOTAL,).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that

from streamseg.engine.features.columns import COLUMNS, MEL_BANDS, MFCCS
from streamseg.engine.features.contrast import write_contrast
from streamseg.engine.features.filterbanks import BINS, DB, FLOOR, Floats, Ints, Records, Samples
from streamseg.engine.features.fourier import compute_power_spectrum
from streamseg.engine.features.pitch import estimate_pitch
from streamseg.engine.features.rhythm import write_onset_tempo_and_beat
from streamseg.engine.features.spectral_shape import write_spectral_shape
from streamseg.engine.features.tuning import STEPS_PER_SEMITONE, estimate_tuning
from streamseg.engine.kernels import kernel, subkernel
from streamseg.settings import FRAME, HOP

MAX_MAGNITUDE: Final = 8.0  # samples beyond ±8 (18 dB over full scale) are clipped, so that sums stay finite

MFCC: Final = COLUMNS["mfcc"].start
CHROMA: Final = COLUMNS["chroma"].start
LOG_MEL: Final = COLUMNS["log_mel"].start
ONSET: Final = COLUMNS["onset"].start
RMS: Final = COLUMNS["rms_db"].start
ZERO_CROSSINGS: Final = COLUMNS["zero_crossing_rate"].start
TUNED_CHROMA: Final = COLUMNS["tuned_chroma"].start

# Indices of the counts in the state.
PENDING_SAMPLES, FRAMES = range(2)  # samples in the history; frames so far


@subkernel
def copy_sanitised(samples: Samples, history: Floats, at: int) -> None:
    """Copy samples, float32 (n,), to `history` from index `at` on; NaN becomes 0, values beyond ±8 become ±8."""
    for i in range(samples.size):
        x = float(samples[i])
        x = x if x == x else 0.0
        x = x if x < MAX_MAGNITUDE else MAX_MAGNITUDE
        history[at + i] = x if x > -MAX_MAGNITUDE else -MAX_MAGNITUDE


@subkernel
def measure_energy_and_sign_changes(history: Floats, at: int, out: Floats) -> None:
    """Write the sum of squares and the sign changes of the 512 samples of `history` that begin at index `at` to `out`.

    out: float64 (3,). out[1]: sign changes within these samples. out[2]: the same, and from the sample before. history:
    float64 (FRAME,).
    """
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for i in range(at, at + HOP, 8):
        s0 += history[u(i)] * history[u(i)]
        s1 += history[u(i + 1)] * history[u(i + 1)]
        s2 += history[u(i + 2)] * history[u(i + 2)]
        s3 += history[u(i + 3)] * history[u(i + 3)]
        s4 += history[u(i + 4)] * history[u(i + 4)]
        s5 += history[u(i + 5)] * history[u(i + 5)]
        s6 += history[u(i + 6)] * history[u(i + 6)]
        s7 += history[u(i + 7)] * history[u(i + 7)]
    crossings = 0
    for i in range(at + 1, at + HOP):
        crossings += (history[u(i)] < 0.0) != (history[u(i - 1)] < 0.0)
    out[0] = ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
    out[1] = crossings
    out[2] = crossings + ((history[at] < 0.0) != (history[at - 1] < 0.0) if at > 0 else 0)


@subkernel
def write_level_and_zero_crossings(history: Floats, hops: Floats, frame: int, out: Floats) -> None:
    """Write a frame's RMS level (dB of full scale, at least -100) and zero crossings per sample to the row `out`.

    history: float64 (FRAME,). hops: float64 (FRAME // HOP, 3), state, results of `measure_energy_and_sign_changes` for
    each hop of the frame, of which only the last one is new. frame: number of the frame.
    """
    last = FRAME // HOP - 1
    for h in range(last):
        if frame > 0:
            for i in range(3):
                hops[h, i] = hops[h + 1, i]
        else:
            measure_energy_and_sign_changes(history, h * HOP, hops[h])
    measure_energy_and_sign_changes(history, last * HOP, hops[last])
    squares, crossings = hops[0, 0], hops[0, 1]
    for h in range(1, last + 1):
        squares += hops[h, 0]
        crossings += hops[h, 2]
    out[RMS] = DB * math.log(max(FLOOR, squares / FRAME))
    out[ZERO_CROSSINGS] = crossings / FRAME


@subkernel
def compute_magnitudes(power: Floats, magnitude: Floats) -> None:
    """Write the square root of `power` to `magnitude`, both float64 (BINS or more,)."""
    for k in range(BINS):
        magnitude[k] = math.sqrt(power[k])


@subkernel
def sum_bands(power: Floats, first: Ints, offset: Ints, weights: Floats, begin: int, end: int, bands: Floats) -> None:
    """Sum the weighted power in each band of a filter bank from `begin` to before `end`; write the sums to `bands`.

    first, offset, weights: see `FilterBank`. bands[0] is the sum of band `begin`.
    """
    for b in range(begin, end):
        k = first[b]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for i in range(offset[b], offset[b + 1], 8):
            s0 += power[u(k)] * weights[u(i)]
            s1 += power[u(k + 1)] * weights[u(i + 1)]
            s2 += power[u(k + 2)] * weights[u(i + 2)]
            s3 += power[u(k + 3)] * weights[u(i + 3)]
            s4 += power[u(k + 4)] * weights[u(i + 4)]
            s5 += power[u(k + 5)] * weights[u(i + 5)]
            s6 += power[u(k + 6)] * weights[u(i + 6)]
            s7 += power[u(k + 7)] * weights[u(i + 7)]
            k += 8
        bands[b - begin] = ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))


@subkernel
def write_timbre_and_onset_strength(bands: Floats, dct: Floats, previous_db: Floats, frame: int, out: Floats) -> None:
    """Compute log-mel (dB), MFCC and onset strength (dB) from mel-band power; write all to `out`, the frame's row.

    Onset strength is the mean rise of the mel bands since the frame before, 0 in the first frame.

    bands: float64 (MEL_BANDS or more,). dct: float64 (MEL_BANDS, MFCCS). previous_db: float64 (MEL_BANDS,),
    state. frame: number of the frame.
    """
    rise = 0.0
    for c in range(MFCCS):
        out[MFCC + c] = 0.0
    for b in range(MEL_BANDS):
        db = DB * math.log(max(FLOOR, bands[b]))
        out[LOG_MEL + b] = db
        if db > previous_db[b]:
            rise += db - previous_db[b]
        previous_db[b] = db
        for c in range(MFCCS):
            out[MFCC + c] += db * dct[b, c]
    out[ONSET] = rise / MEL_BANDS if frame > 0 else 0.0


@subkernel
def compute_chroma(bands: Floats, pitch_class: Ints, chroma: Floats) -> None:
    """Sum the bands' power for each pitch class; write the sums, scaled to a maximum of 1 (0 if silent), to `chroma`.

    bands: float64, power. pitch_class: int64, of each band. chroma: float64 (12,), C first.
    """
    for c in range(12):
        chroma[c] = 0.0
    for b in range(pitch_class.size):
        chroma[pitch_class[b]] += bands[b]
    strongest = 0.0
    for c in range(12):
        strongest = max(strongest, chroma[c])
    for c in range(12):
        chroma[c] = chroma[c] / strongest if strongest > FLOOR else 0.0


@subkernel
def compute_tuned_chroma(
    power: Floats,
    first: Ints,
    offset: Ints,
    weights: Floats,
    pitch_class: Ints,
    start: Ints,
    step: int,
    bands: Floats,
    out: Floats,
) -> None:
    """Write a frame's chroma, for music tuned `step` tenths of a semitone above A = 440 Hz, to `out`, the frame's row.

    At step 0 (A = 440 Hz) it is a copy of `chroma`. first, offset, weights, pitch_class, start: the arrays of
    `TunedFilterBanks`. bands: scratch.
    """
    if step == 0:
        for c in range(12):
            out[TUNED_CHROMA + c] = out[CHROMA + c]
        return
    begin, end = start[step + STEPS_PER_SEMITONE // 2], start[step + STEPS_PER_SEMITONE // 2 + 1]
    sum_bands(power, first, offset, weights, begin, end, bands)
    compute_chroma(bands, pitch_class[begin:end], out[TUNED_CHROMA : TUNED_CHROMA + 12])


@kernel
def write_feature_rows(samples: Samples, tables: Records, state: Records, scratch: Records, out: Floats) -> None:
    """Process the next mono samples; write one row of features to `out` for each frame that is now complete.

    samples: float32 (n,). tables, state, scratch: records of `kernel_memory.py`, shape (1,). out: float64 (frames,
    COLUMNS_TOTAL).
    """
    t, s, w = tables[0], state[0], scratch[0]
    history, counts = s["history"][:], s["counts"][:]
    power, magnitude, clamped_power, bands = w["power"][:], w["magnitude"][:], w["clamped_power"][:], w["bands"][:]
    first, offset, weights = t["first"][:], t["offset"][:], t["weights"][:]
    tuned_first, tuned_offset, tuned_weights = t["tuned_first"][:], t["tuned_offset"][:], t["tuned_weights"][:]
    at = row_number = zero = np.int64(0)
    while at < samples.size:
        n = min(samples.size - at, FRAME - counts[PENDING_SAMPLES])
        copy_sanitised(samples[at : at + n], history, counts[PENDING_SAMPLES])
        at += n
        counts[PENDING_SAMPLES] += n
        if counts[PENDING_SAMPLES] < FRAME:
            return
        row, frame = out[row_number], counts[FRAMES]
        write_level_and_zero_crossings(history, s["hops"][:], frame, row)
        compute_power_spectrum(
            history, t["window"][:], t["twiddles"][:], t["joining_twiddles"][:], w["passes"][:], power
        )
        compute_magnitudes(power, magnitude)
        sum_bands(power, first, offset, weights, zero, first.size, bands)
        write_timbre_and_onset_strength(bands, t["dct"][:], s["previous_mel_db"][:], frame, row)
        compute_chroma(bands[MEL_BANDS:], t["pitch_class"][:], row[CHROMA : CHROMA + 12])
        write_spectral_shape(
            magnitude, power, t["bins"][:], clamped_power, clamped_power.view(np.int64), w["chunk_sums"][:], row
        )
        write_contrast(magnitude, t["contrast_bands"][:], w["maxima"][:], w["strongest"][:], row)
        estimate_pitch(
            power, t["lag_tables"][:], t["folding"][:], w["folded_power"][:], w["half_spectrum"][:],
            w["correlation"][:], s["loudest_db"][:], row,
        )  # fmt: skip
        step = estimate_tuning(magnitude, frame, s["tuning"][:], row)
        compute_tuned_chroma(
            power, tuned_first, tuned_offset, tuned_weights, t["tuned_class"][:], t["tuned_start"][:], step, bands, row
        )
        write_onset_tempo_and_beat(
            s["rises"][:], s["onset_correlation"][:], t["tempo_cosines"][:], s["rhythm"][:], frame, row
        )
        for i in range(FRAME - HOP):
            history[i] = history[u(i + HOP)]
        counts[PENDING_SAMPLES] -= HOP
        counts[FRAMES] += 1
        row_number += 1
