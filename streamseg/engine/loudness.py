"""Loudness and the health of the signal, from the full rate and all channels, a row for each 100 ms.

ITU-R BS.1770-5 (K-weighting, annex 1; true peak, annex 2) and EBU Tech 3341 (momentary, short-term). The gated
figures of a span of time, integrated loudness and loudness range, are computed from these rows in `report.py`.
Channels in the order of WAV: 5 and 6 channels are read as 5.0 and 5.1, anything else weighs every channel alike.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that
from numpy.typing import NDArray

from streamseg.engine.kernel import kernel, part
from streamseg.errors import AskedWrongly

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]

BLOCKS_PER_SECOND: Final = 10
MOMENTARY_BLOCKS, SHORT_TERM_BLOCKS = 4, 30
OFFSET_LU: Final = -0.691  # BS.1770: makes a 997 Hz sine of -3.01 dB read -3.01 LKFS
QUIETEST: Final = 1e-10
LOUDEST: Final = 8.0
DB: Final = 10.0 / math.log(10.0)
FULL_SCALE: Final = 0.9999  # at or above, a sample counts as clipped: 16-bit sound tops at 0.99997
SAME: Final = 1e-4  # channels nearer than this (-80 dB) are one signal

PIECE: Final = 1_024  # samples handled at a time, so that they stay in the nearest cache
PEAK_TAPS: Final = 12  # as written out in `raise_peak`
PEAK_BETA: Final = 4.0
PEAK_GROUP: Final = 64
REACH: Final = PEAK_TAPS - 1  # samples before a piece that its peaks rest on

# The columns of a row.
POWER, MOMENTARY, SHORT_TERM, SAMPLE_PEAK, TRUE_PEAK, CLIPPED, MONO, FROZEN = range(8)
BLOCK_COLUMNS: Final = (
    "power",
    "momentary_lufs",
    "short_term_lufs",
    "sample_peak",
    "true_peak",
    "clipped",
    "mono",
    "frozen",
)


def k_weighting(sample_rate: int) -> Floats:
    """The two filters of BS.1770 for any rate: rows b0 b1 b2 a1 a2.

    The standard prints them for 48 kHz only; these are the analogue filters behind them (as in libebur128 and
    pyloudnorm), through the bilinear transform.
    """
    tangent = math.tan(math.pi * 1681.974450955533 / sample_rate) if sample_rate > 3_700 else 0.0
    q, high = 0.7071752369554196, 10.0 ** (3.999843853973347 / 20.0)
    band = high**0.4996667741545416
    scale = 1.0 + tangent / q + tangent * tangent
    shelf = [
        (high + band * tangent / q + tangent * tangent) / scale,
        2.0 * (tangent * tangent - high) / scale,
        (high - band * tangent / q + tangent * tangent) / scale,
        2.0 * (tangent * tangent - 1.0) / scale,
        (1.0 - tangent / q + tangent * tangent) / scale,
    ]
    if not tangent:  # below 3.7 kHz there is nothing for the shelf to lift
        shelf = [1.0, 0.0, 0.0, 0.0, 0.0]
    tangent = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    scale = 1.0 + tangent / q + tangent * tangent
    low_cut = [1.0, -2.0, 1.0, 2.0 * (tangent * tangent - 1.0) / scale, (1.0 - tangent / q + tangent * tangent) / scale]
    return np.array([shelf, low_cut])


def channel_weights(channels: int) -> Floats:
    """BS.1770's weights: surrounds +1.5 dB, the low-frequency channel none."""
    if channels == 6:
        return np.array([1.0, 1.0, 1.0, 0.0, 1.41, 1.41])
    if channels == 5:
        return np.array([1.0, 1.0, 1.0, 1.41, 1.41])
    return np.ones(channels)


@lru_cache(maxsize=8)
def peak_filters(sample_rate: int) -> Floats32:
    """Interpolators to the points between samples, to 192 kHz or four times the rate: shape (points, PEAK_TAPS)."""
    times = 4 if sample_rate < 96_000 else 2 if sample_rate < 192_000 else 1
    between = np.arange(1, times)[:, None] / times
    t = between - (np.arange(PEAK_TAPS)[None, :] - (PEAK_TAPS // 2 - 1))
    window = np.i0(PEAK_BETA * np.sqrt(np.maximum(0.0, 1.0 - (t / (PEAK_TAPS / 2)) ** 2))) / np.i0(PEAK_BETA)
    filters: Floats32 = (np.sinc(t) * window).astype(np.float32)
    return filters


@part
def spread(samples: Floats32, planes: Floats32) -> None:
    """Samples (n, channels) into one row a channel, behind the REACH samples before; sane numbers only."""
    for c in range(samples.shape[1]):
        plane = planes[c, REACH:]
        for i in range(samples.shape[0]):
            x = samples[i, c]
            x = x if x == x else np.float32(0.0)
            x = x if x < LOUDEST else np.float32(LOUDEST)
            plane[i] = x if x > -LOUDEST else np.float32(-LOUDEST)


@part
def add_squares(left: Floats32, right: Floats32, f: Floats, a: Floats, b: Floats) -> None:
    """Add the squares of two channels behind both filters (transposed direct form II) to a[4] and b[4].

    Two at a time, because a filter waits for its own last output and two wait together. a, b: a channel's state.
    """
    f0, f1, f2, f3, f4 = f[0, 0], f[0, 1], f[0, 2], f[0, 3], f[0, 4]
    g3, g4 = f[1, 3], f[1, 4]
    a0, a1, a2, a3, asum = a[0], a[1], a[2], a[3], a[4]
    b0, b1, b2, b3, bsum = b[0], b[1], b[2], b[3], b[4]
    for i in range(left.size):
        x, p = float(left[i]), float(right[i])
        y, q = f0 * x + a0, f0 * p + b0
        a0, b0 = (f1 * x + a1) - f3 * y, (f1 * p + b1) - f3 * q
        a1, b1 = f2 * x - f4 * y, f2 * p - f4 * q
        z, r = y + a2, q + b2
        a2, b2 = (a3 - (y + y)) - g3 * z, (b3 - (q + q)) - g3 * r
        a3, b3 = y - g4 * z, q - g4 * r
        asum += z * z
        bsum += r * r
    b[0], b[1], b[2], b[3], b[4] = b0, b1, b2, b3, bsum
    a[0], a[1], a[2], a[3], a[4] = a0, a1, a2, a3, asum  # last: an odd channel is its own partner


@part
def largest(bits: Ints32) -> np.int32:
    """The largest magnitude, as bits: those of positive numbers are ordered like the numbers, and join in vectors."""
    most = np.int32(0)
    for i in range(bits.size):
        most = max(most, bits[i] & np.int32(0x7FFFFFFF))
    return most


@part
def raise_peak(
    x: Floats32, x_bits: Ints32, filters: Floats32, reach: float, between: Floats32, between_bits: Ints32, peak: Ints32
) -> None:
    """Raise peak (bits) to the largest magnitude between the samples of `x`, whose first REACH are from before.

    No interpolated value is larger than `reach` times the samples around it, so that many groups need no
    interpolation. `between` is scratch; one number more than a group.
    """
    for start in range(0, x.size - REACH, PEAK_GROUP):
        length = min(PEAK_GROUP, x.size - REACH - start)
        between_bits[PEAK_GROUP] = largest(x_bits[start : start + length + REACH])
        bound = between[PEAK_GROUP] * reach
        between_bits[PEAK_GROUP] = peak[0]
        if bound <= between[PEAK_GROUP]:
            continue
        group = x[start:]
        for p in range(filters.shape[0]):
            h = filters[p]
            for i in range(length):
                between[i] = (
                    (h[0] * group[u(i)] + h[1] * group[u(i + 1)])
                    + (h[2] * group[u(i + 2)] + h[3] * group[u(i + 3)])
                    + (h[4] * group[u(i + 4)] + h[5] * group[u(i + 5)])
                ) + (
                    (h[6] * group[u(i + 6)] + h[7] * group[u(i + 7)])
                    + (h[8] * group[u(i + 8)] + h[9] * group[u(i + 9)])
                    + (h[10] * group[u(i + 10)] + h[11] * group[u(i + 11)])
                )
            peak[0] = max(peak[0], largest(between_bits[:length]))


@part
def count_odd(planes: Floats32, begin: int, end: int, counts: Ints) -> None:
    """Add how many samples are clipped (counts[0]), differ between channels (1), differ from the one before (2)."""
    clipped = moved = apart = 0
    for c in range(planes.shape[0]):
        now, before = planes[c, begin:end], planes[c, begin - 1 : end - 1]
        for i in range(now.size):
            clipped += abs(now[i]) >= np.float32(FULL_SCALE)
            moved += now[i] != before[i]
        first = planes[0, begin:end]
        for i in range(now.size):
            apart += abs(now[i] - first[i]) > np.float32(SAME)
    counts[0] += clipped
    counts[1] += apart
    counts[2] += moved


@part
def close_block(state: Floats, weights: Floats, counts: Ints, peaks: Floats32, recent: Floats, out: Floats) -> None:
    """A 100 ms block is whole: write its row, and begin the next."""
    samples = counts[3]
    power = 0.0
    for c in range(weights.size):
        power += weights[c] * state[c, 4] / samples
        state[c, 4] = 0.0
    for i in range(SHORT_TERM_BLOCKS - 1):
        recent[i] = recent[i + 1]
    recent[SHORT_TERM_BLOCKS - 1] = power
    out[POWER] = power
    momentary = short_term = 0.0
    for i in range(SHORT_TERM_BLOCKS):
        short_term += recent[i] / SHORT_TERM_BLOCKS
        if i >= SHORT_TERM_BLOCKS - MOMENTARY_BLOCKS:
            momentary += recent[i] / MOMENTARY_BLOCKS
    heard = counts[4] + 1
    out[MOMENTARY] = DB * math.log(max(QUIETEST, momentary)) + OFFSET_LU if heard >= MOMENTARY_BLOCKS else np.nan
    out[SHORT_TERM] = DB * math.log(max(QUIETEST, short_term)) + OFFSET_LU if heard >= SHORT_TERM_BLOCKS else np.nan
    out[SAMPLE_PEAK], out[TRUE_PEAK] = peaks[0], max(peaks[0], peaks[1])
    everything = samples * weights.size
    out[CLIPPED] = counts[0] / everything
    out[MONO] = 1.0 - counts[1] / (samples * max(1, weights.size - 1))
    out[FROZEN] = 1.0 - counts[2] / everything
    counts[0] = counts[1] = counts[2] = counts[3] = 0
    counts[4] += 1
    peaks[0] = peaks[1] = 0.0


@kernel
def advance(
    samples: Floats32,
    sample_rate: int,
    planes: Floats32,
    plane_bits: Ints32,
    filters: Floats,
    state: Floats,
    weights: Floats,
    between_filters: Floats32,
    reach: float,
    between: Floats32,
    between_bits: Ints32,
    peaks: Floats32,
    peak_bits: Ints32,
    counts: Ints,
    recent: Floats,
    out: Floats,
) -> None:
    """Take samples (n, channels) in; write a row of `out` for each 100 ms they complete.

    counts: odd samples (three kinds) and samples of the block so far, blocks so far.
    """
    channels = samples.shape[1]
    at = row = 0
    while at < samples.shape[0]:
        turn = counts[4] % BLOCKS_PER_SECOND
        length = (turn + 1) * sample_rate // BLOCKS_PER_SECOND - turn * sample_rate // BLOCKS_PER_SECOND
        n = min(samples.shape[0] - at, PIECE, length - counts[3])
        spread(samples[at : at + n], planes)
        for c in range(0, channels, 2):
            d = min(c + 1, channels - 1)
            add_squares(planes[c, REACH : REACH + n], planes[d, REACH : REACH + n], filters, state[c], state[d])
        for c in range(channels):
            peak_bits[0] = max(peak_bits[0], largest(plane_bits[c, REACH : REACH + n]))
            peak_bits[1] = max(peak_bits[1], peak_bits[0])
            x, x_bits = planes[c, : REACH + n], plane_bits[c, : REACH + n]
            raise_peak(x, x_bits, between_filters, reach, between, between_bits, peak_bits[1:])
        count_odd(planes, REACH, REACH + n, counts)
        for c in range(channels):
            for i in range(REACH):
                planes[c, i] = planes[c, n + i]
        at += n
        counts[3] += n
        if counts[3] == length:
            close_block(state, weights, counts, peaks, recent, out[row])
            row += 1


class Loudness:
    """Samples at their own rate in, all channels; a row of `BLOCK_COLUMNS` for each 100 ms they complete out.

    power: mean square behind the K-weighting, channels weighted and added.
    momentary_lufs, short_term_lufs: of the last 0.4 and 3 s, -100.7 at the least; NaN until so much was heard.
    sample_peak, true_peak: linear, full scale 1, the largest of all channels.
    clipped: share of samples at full scale. mono: share at which all channels agree within -80 dB (1 with a single
    channel). frozen: share that repeat the sample before (digital silence too).

    Results are the same bits whatever the sizes of the pushes. Pickles between pushes.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        if not (1_000 <= sample_rate <= 768_000 and channels >= 1):
            raise AskedWrongly(f"{channels} channels at {sample_rate} Hz; 1 or more at 1,000 to 768,000 Hz are metered")
        self.sample_rate, self.channels = sample_rate, channels
        self._state = np.zeros((channels, 5))  # the memory of both filters, and the sum of squares so far
        self._before = np.zeros((channels, REACH), np.float32)
        self._counts = np.zeros(5, np.int64)
        self._peaks = np.zeros(2, np.float32)  # at, and between, samples
        self._recent = np.zeros(SHORT_TERM_BLOCKS)
        self._make_scratch()

    def _make_scratch(self) -> None:
        """What can be made again from the rest."""
        self._planes = np.zeros((self.channels, REACH + PIECE), np.float32)
        self._planes[:, :REACH] = self._before
        self._between = np.zeros(PEAK_GROUP + 1, np.float32)
        self._filters, self._weights = k_weighting(self.sample_rate), channel_weights(self.channels)
        self._between_filters = peak_filters(self.sample_rate)
        gains = np.abs(self._between_filters).sum(axis=1)
        self._reach = 1.000001 * float(gains.max(initial=0.0))  # a little more: it is summed in single precision

    def push(self, samples: Floats32) -> Floats:
        """Take float32 samples, shape (n, channels), full scale ±1; returns shape (blocks, len(BLOCK_COLUMNS))."""
        turn = int(self._counts[4]) % BLOCKS_PER_SECOND
        heard = turn * self.sample_rate // BLOCKS_PER_SECOND + int(self._counts[3]) + len(samples)
        # Block k of a second ends at sample (k + 1) * rate // 10: those that end by `heard`, less those already said.
        out = np.empty((((heard + 1) * BLOCKS_PER_SECOND - 1) // self.sample_rate - turn, len(BLOCK_COLUMNS)))
        advance(
            np.ascontiguousarray(samples),
            self.sample_rate,
            self._planes,
            self._planes.view(np.int32),
            self._filters,
            self._state,
            self._weights,
            self._between_filters,
            self._reach,
            self._between,
            self._between.view(np.int32),
            self._peaks,
            self._peaks.view(np.int32),
            self._counts,
            self._recent,
            out,
        )
        return out

    def __getstate__(self) -> dict[str, Any]:
        self._before[:] = self._planes[:, :REACH]
        kept = ("sample_rate", "channels", "_state", "_before", "_counts", "_peaks", "_recent")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_scratch()
