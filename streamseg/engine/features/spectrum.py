"""From 2,048 samples to a frame of spectral features.

Order of a frame: window, spectrum, powers and magnitudes, bands (mel and chroma in one pass), logarithms, cosine
transform, shape, contrast, onset. Each kernel reads what the one above it wrote; `FeatureExtractor` owns all arrays.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that

from streamseg.engine.features.columns import COLUMNS, MEL_BANDS, MFCCS
from streamseg.engine.features.contrast import write_contrast
from streamseg.engine.features.filterbanks import BIN_HZ, BINS, DB, FLOOR, Floats, Ints, Records, Samples
from streamseg.engine.features.fourier import power_spectrum
from streamseg.engine.features.pitch import estimate_pitch
from streamseg.engine.features.rhythm import update_rhythm
from streamseg.engine.features.tuning import STEPS_PER_SEMITONE, estimate_tuning
from streamseg.engine.kernels import kernel, subkernel
from streamseg.settings import FRAME, HOP

ROLLOFF: Final = 0.85
MAX_MAGNITUDE: Final = 8.0  # samples beyond ±8 (18 dB over full scale) are clipped: one mad value must not poison sums

MFCC: Final = COLUMNS["mfcc"].start
CHROMA: Final = COLUMNS["chroma"].start
LOG_MEL: Final = COLUMNS["log_mel"].start
ONSET: Final = COLUMNS["onset"].start
RMS: Final = COLUMNS["rms_db"].start
CENTROID: Final = COLUMNS["centroid_hz"].start
BANDWIDTH: Final = COLUMNS["bandwidth_hz"].start
ROLLOFF_HZ: Final = COLUMNS["rolloff_hz"].start
FLATNESS: Final = COLUMNS["flatness"].start
ZERO_CROSSINGS: Final = COLUMNS["zero_crossing_rate"].start
TUNED_CHROMA: Final = COLUMNS["tuned_chroma"].start

_MANTISSA: Final = (1 << 52) - 1
_ONE: Final = 0x3FF << 52  # the exponent bits of numbers from 1 to 2
_LOG_2: Final = math.log(2.0)
_EVEN: Final = BINS - 1  # 1,024 bins go in lanes of eight; the last one alone


@subkernel
def copy_sanitised(samples: Samples, history: Floats, at: int) -> None:
    """Copy samples into the history at `at`; what is not a number becomes 0, what is mad is clipped."""
    for i in range(samples.size):
        x = float(samples[i])
        x = x if x == x else 0.0
        x = x if x < MAX_MAGNITUDE else MAX_MAGNITUDE
        history[at + i] = x if x > -MAX_MAGNITUDE else -MAX_MAGNITUDE


@subkernel
def measure_hop(history: Floats, at: int, hop: Floats) -> None:
    """Squares of the HOP samples from `at` on, changes of sign among them, changes since the sample before too."""
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
    hop[0] = ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
    hop[1] = crossings
    hop[2] = crossings + ((history[at] < 0.0) != (history[at - 1] < 0.0) if at > 0 else 0)


@subkernel
def write_level(history: Floats, hops: Floats, frames_before: int, out: Floats) -> None:
    """RMS of the frame (dB of full scale; -100 where silent) and zero crossings a sample.

    hops: what `measure_hop` says of each hop of the frame, shape (FRAME // HOP, 3); only the last one is new.
    """
    last = FRAME // HOP - 1
    for h in range(last):
        if frames_before > 0:
            for i in range(3):
                hops[h, i] = hops[h + 1, i]
        else:
            measure_hop(history, h * HOP, hops[h])
    measure_hop(history, last * HOP, hops[last])
    squares, crossings = hops[0, 0], hops[0, 1]
    for h in range(1, last + 1):
        squares += hops[h, 0]
        crossings += hops[h, 2]
    out[RMS] = DB * math.log(max(FLOOR, squares / FRAME))
    out[ZERO_CROSSINGS] = crossings / FRAME


@subkernel
def compute_magnitudes(power: Floats, magnitude: Floats) -> None:
    """|STFT| from |STFT|²."""
    for k in range(BINS):
        magnitude[k] = math.sqrt(power[k])


@subkernel
def sum_bands(power: Floats, first: Ints, offset: Ints, weights: Floats, begin: int, end: int, bands: Floats) -> None:
    """Weighted sums over the run of bins of each band from `begin` to `end`, which go to bands[0] on."""
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
def write_timbre(bands: Floats, transform: Floats, mel_before: Floats, frames_before: int, out: Floats) -> None:
    """Log-mel, MFCC, and the onset strength: the mean rise of the mel bands since the frame before (0 at first)."""
    rise = 0.0
    for c in range(MFCCS):
        out[MFCC + c] = 0.0
    for b in range(MEL_BANDS):
        db = DB * math.log(max(FLOOR, bands[b]))
        out[LOG_MEL + b] = db
        if db > mel_before[b]:
            rise += db - mel_before[b]
        mel_before[b] = db
        for c in range(MFCCS):
            out[MFCC + c] += db * transform[b, c]
    out[ONSET] = rise / MEL_BANDS if frames_before > 0 else 0.0


@subkernel
def compute_chroma(bands: Floats, pitch_class: Ints, out: Floats) -> None:
    """Power by pitch class, the strongest being 1; all 0 where there is none. out: 12 numbers."""
    for c in range(12):
        out[c] = 0.0
    for b in range(pitch_class.size):
        out[pitch_class[b]] += bands[b]
    strongest = 0.0
    for c in range(12):
        strongest = max(strongest, out[c])
    for c in range(12):
        out[c] = out[c] / strongest if strongest > FLOOR else 0.0


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
    """Chroma by the bank of this step of tuning; at A = 440 Hz, `chroma` itself."""
    if step == 0:
        for c in range(12):
            out[TUNED_CHROMA + c] = out[CHROMA + c]
        return
    begin, end = start[step + STEPS_PER_SEMITONE // 2], start[step + STEPS_PER_SEMITONE // 2 + 1]
    sum_bands(power, first, offset, weights, begin, end, bands)
    compute_chroma(bands, pitch_class[begin:end], out[TUNED_CHROMA : TUNED_CHROMA + 12])


@subkernel
def spectral_flatness(power: Floats, clamped: Floats, clamped_bits: Ints) -> float:
    """Geometric over arithmetic mean of the power, each bin at least FLOOR.

    The geometric mean needs a logarithm of every bin. Here the mantissas are multiplied (eight running products of
    128 numbers below 2) and the exponents added, so that two logarithms serve for all. `clamped_bits` is the memory
    of `clamped`.
    """
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 0.0
    for k in range(BINS):
        clamped[k] = power[k] if power[k] > FLOOR else FLOOR
    for k in range(0, _EVEN, 8):
        t0 += clamped[k]
        t1 += clamped[u(k + 1)]
        t2 += clamped[u(k + 2)]
        t3 += clamped[u(k + 3)]
        t4 += clamped[u(k + 4)]
        t5 += clamped[u(k + 5)]
        t6 += clamped[u(k + 6)]
        t7 += clamped[u(k + 7)]
    total = ((t0 + t4) + (t1 + t5)) + ((t2 + t6) + (t3 + t7)) + clamped[_EVEN]
    last = math.log(clamped[_EVEN])
    exponents = 0
    for k in range(_EVEN):
        exponents += (clamped_bits[k] >> 52) - 1023
        clamped_bits[k] = (clamped_bits[k] & _MANTISSA) | _ONE
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 1.0
    for k in range(0, _EVEN, 8):
        t0 *= clamped[k]
        t1 *= clamped[u(k + 1)]
        t2 *= clamped[u(k + 2)]
        t3 *= clamped[u(k + 3)]
        t4 *= clamped[u(k + 4)]
        t5 *= clamped[u(k + 5)]
        t6 *= clamped[u(k + 6)]
        t7 *= clamped[u(k + 7)]
    logarithm = math.log((t0 * t1) * (t2 * t3)) + math.log((t4 * t5) * (t6 * t7)) + exponents * _LOG_2 + last
    ratio: float = math.exp(logarithm / BINS) / (total / BINS)
    return ratio


@subkernel
def write_spectral_shape(
    magnitude: Floats, power: Floats, bins: Floats, clamped: Floats, clamped_bits: Ints, sums: Floats, out: Floats
) -> None:
    """Centroid, bandwidth, rolloff and flatness. bins: their numbers."""
    m0 = m1 = m2 = 0.0
    for chunk in range(32):
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = 0.0
        for k in range(chunk * 32, chunk * 32 + 32, 4):
            x0, x1, x2, x3 = magnitude[u(k)], magnitude[u(k + 1)], magnitude[u(k + 2)], magnitude[u(k + 3)]
            f0, f1, f2, f3 = bins[u(k)], bins[u(k + 1)], bins[u(k + 2)], bins[u(k + 3)]
            y0, y1, y2, y3 = x0 * f0, x1 * f1, x2 * f2, x3 * f3
            a0 += x0
            a1 += x1
            a2 += x2
            a3 += x3
            b0 += y0
            b1 += y1
            b2 += y2
            b3 += y3
            c0 += y0 * f0
            c1 += y1 * f1
            c2 += y2 * f2
            c3 += y3 * f3
        sums[chunk] = (a0 + a1) + (a2 + a3)
        m0 += sums[chunk]
        m1 += (b0 + b1) + (b2 + b3)
        m2 += (c0 + c1) + (c2 + c3)
    last = magnitude[_EVEN]
    m0 += last
    m1 += last * _EVEN
    m2 += last * _EVEN * _EVEN
    if m0 > 0.0:
        centre = m1 / m0
        out[CENTROID] = centre * BIN_HZ
        out[BANDWIDTH] = math.sqrt(max(0.0, m2 / m0 - centre * centre)) * BIN_HZ
    else:
        out[CENTROID] = 0.0
        out[BANDWIDTH] = 0.0
    chunk = 0
    passed = 0.0
    while chunk < 32 and passed + sums[chunk] < ROLLOFF * m0:
        passed += sums[chunk]
        chunk += 1
    k = chunk * 32
    while k < _EVEN and passed + magnitude[k] < ROLLOFF * m0:
        passed += magnitude[k]
        k += 1
    out[ROLLOFF_HZ] = k * BIN_HZ

    out[FLATNESS] = spectral_flatness(power, clamped, clamped_bits)


@kernel
def push_samples(samples: Samples, tables: Records, state: Records, scratch: Records, out: Floats) -> None:
    """Take the samples in; write a row of `out` for each frame they complete.

    tables, state, scratch: one of each, laid out as `layout.py` says.
    """
    t, s, w = tables[0], state[0], scratch[0]
    history, counts = s["history"][:], s["counts"][:]
    power, magnitude, clamped, bands = w["power"][:], w["magnitude"][:], w["clamped"][:], w["bands"][:]
    first, offset, weights = t["first"][:], t["offset"][:], t["weights"][:]
    tuned_first, tuned_offset, tuned_weights = t["tuned_first"][:], t["tuned_offset"][:], t["tuned_weights"][:]
    at = frame = none = np.int64(0)
    while at < samples.size:
        taken = min(samples.size - at, FRAME - counts[0])
        copy_sanitised(samples[at : at + taken], history, counts[0])
        at += taken
        counts[0] += taken
        if counts[0] < FRAME:
            return
        row = out[frame]
        write_level(history, s["hops"][:], counts[1], row)
        power_spectrum(history, t["window"][:], t["turns"][:], t["half_turns"][:], w["transformed"][:], power)
        compute_magnitudes(power, magnitude)
        sum_bands(power, first, offset, weights, none, first.size, bands)
        write_timbre(bands, t["transform"][:], s["mel_before"][:], counts[1], row)
        compute_chroma(bands[MEL_BANDS:], t["pitch_class"][:], row[CHROMA : CHROMA + 12])
        write_spectral_shape(magnitude, power, t["bins"][:], clamped, clamped.view(np.int64), w["sums"][:], row)
        write_contrast(magnitude, t["contrast_bands"][:], w["columns"][:], w["strongest"][:], row)
        folded, turned, correlation = w["folded"][:], w["turned"][:], w["correlation"][:]
        estimate_pitch(power, t["pitch"][:], t["folds"][:], folded, turned, correlation, s["loudest"][:], row)
        step = estimate_tuning(magnitude, counts, s["tuning"][:], row)
        compute_tuned_chroma(
            power, tuned_first, tuned_offset, tuned_weights, t["tuned_class"][:], t["tuned_start"][:], step, bands, row
        )
        update_rhythm(s["onsets"][:], s["onset_correlation"][:], t["waves"][:], s["rhythm"][:], counts, row)
        for i in range(FRAME - HOP):
            history[i] = history[u(i + HOP)]
        counts[0] -= HOP
        counts[1] += 1
        frame += 1
