"""Converts samples of any rate and number of channels to 22,050 Hz mono.

A polyphase filter: each output sample is one sum over the input around it (Crochiere & Rabiner 1983, ch. 4), so the
whole state is the last few hundred input samples. A `soxr.ResampleStream` does the same but does not pickle, and a
checkpoint must not change any bit. The tests compare with soxr's HQ.

The low-pass is a Kaiser-windowed sinc: flat to 0.90 of the lower Nyquist frequency, -100 dB from 1.10 of it on, so
that aliases stay above the flat part. Where the two rates have few phases (44,100, 48,000, 96,000 Hz … need at most
441) each phase has its own exact filter; for rates such as 22,051 Hz, neighbours among 1,024 filters are interpolated
(error below -100 dB).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel, subkernel
from streamseg.errors import UsageError
from streamseg.settings import ENGINE_RATE

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
PASSBAND, STOPBAND = 0.90, 1.10  # of the lower Nyquist frequency
REJECTION_DB: Final = 100.0
MAX_PHASES: Final = 1_024
LANES: Final = 16
MAX_MAGNITUDE: Final = 8.0

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]


@kernel
def downmix(samples: Floats32, mono: Floats32) -> None:
    """Write the mean of all channels to `mono`, sample by sample; NaN counts as 0, values beyond ±8 as ±8.

    samples: float32 (n, channels). mono: float32 (n,).
    """
    frames, channels = samples.shape
    share = np.float32(1.0 / channels)
    for c in range(channels):
        for i in range(frames):
            x = samples[i, c]
            x = x if x == x else np.float32(0.0)
            x = x if x < MAX_MAGNITUDE else np.float32(MAX_MAGNITUDE)
            x = x if x > -MAX_MAGNITUDE else np.float32(-MAX_MAGNITUDE)
            mono[i] = x * share if c == 0 else mono[i] + x * share


@subkernel
def apply_filter_at(sound: Floats32, at: int, taps: Floats32, lanes: Floats32) -> np.float32:
    """Return one output sample of a filter: the dot product of `taps` and the samples of `sound` from index `at` on.

    sound: float32 (…,). taps: float32 (multiple of LANES,). lanes: float32 (8,), scratch: the compiler joins partial
    sums that end side by side in memory to a vector.
    """
    zero = np.float32(0.0)
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = zero
    b0 = b1 = b2 = b3 = b4 = b5 = b6 = b7 = zero
    for i in range(0, taps.size, 16):
        k = at + i
        a0 += sound[u(k)] * taps[u(i)]
        a1 += sound[u(k + 1)] * taps[u(i + 1)]
        a2 += sound[u(k + 2)] * taps[u(i + 2)]
        a3 += sound[u(k + 3)] * taps[u(i + 3)]
        a4 += sound[u(k + 4)] * taps[u(i + 4)]
        a5 += sound[u(k + 5)] * taps[u(i + 5)]
        a6 += sound[u(k + 6)] * taps[u(i + 6)]
        a7 += sound[u(k + 7)] * taps[u(i + 7)]
        b0 += sound[u(k + 8)] * taps[u(i + 8)]
        b1 += sound[u(k + 9)] * taps[u(i + 9)]
        b2 += sound[u(k + 10)] * taps[u(i + 10)]
        b3 += sound[u(k + 11)] * taps[u(i + 11)]
        b4 += sound[u(k + 12)] * taps[u(i + 12)]
        b5 += sound[u(k + 13)] * taps[u(i + 13)]
        b6 += sound[u(k + 14)] * taps[u(i + 14)]
        b7 += sound[u(k + 15)] * taps[u(i + 15)]
    lanes[0], lanes[1], lanes[2], lanes[3] = a0 + b0, a1 + b1, a2 + b2, a3 + b3
    lanes[4], lanes[5], lanes[6], lanes[7] = a4 + b4, a5 + b5, a6 + b6, a7 + b7
    total: np.float32 = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + (
        (lanes[1] + lanes[5]) + (lanes[3] + lanes[7])
    )
    return total


@kernel
def resample_by_filters(
    sound: Floats32, clock: Ints, up: int, down: int, filters: Floats32, lanes: Floats32, out: Floats32
) -> None:
    """Resample `sound` by the factor up / down: fill `out` with the next output samples, advance the position `clock`.

    sound: float32 (…,). out: float32 (n,). clock: int64 (2,), the index in `sound` of the next output's first tap, and
    its phase in 1/up of an input sample. filters: from `design_polyphase_filters`. lanes: see `apply_filter_at`.
    """
    at, phase = clock[0], clock[1]
    index_step, phase_step = down // up, down % up
    exact = filters.shape[0] == up
    for n in range(out.size):
        if exact:
            out[n] = apply_filter_at(sound, at, filters[phase], lanes)
        else:
            position = phase * MAX_PHASES / up
            lower = int(position)
            fraction = position - lower
            below, above = (
                apply_filter_at(sound, at, filters[lower], lanes),
                apply_filter_at(sound, at, filters[lower + 1], lanes),
            )
            out[n] = (1.0 - fraction) * below + fraction * above
        at += index_step
        phase += phase_step
        if phase >= up:
            at += 1
            phase -= up
    clock[0], clock[1] = at, phase


@lru_cache(maxsize=8)
def design_polyphase_filters(up: int, down: int) -> Floats32:
    """Design the low-pass for resampling by up / down; return a row of taps for each position between input samples.

    Returns float32 (up, taps), or (MAX_PHASES + 1, taps) to interpolate between where up > MAX_PHASES; taps is a
    multiple of LANES.
    """
    band = min(1.0, up / down)  # of the input's Nyquist frequency
    beta = 0.1102 * (REJECTION_DB - 8.7)  # Kaiser (1974)
    length = (REJECTION_DB - 7.95) / (14.36 * 0.5 * band * (STOPBAND - PASSBAND))
    taps = LANES * math.ceil(length / LANES)
    phases = np.arange(up) / up if up <= MAX_PHASES else np.arange(MAX_PHASES + 1) / MAX_PHASES
    t = phases[:, None] - (np.arange(taps)[None, :] - (taps // 2 - 1))
    cutoff = band * (STOPBAND + PASSBAND) / 2.0
    window = np.i0(beta * np.sqrt(np.maximum(0.0, 1.0 - (t / (taps / 2)) ** 2))) / np.i0(beta)
    filters = cutoff * np.sinc(cutoff * t) * window
    rows: Floats32 = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows


class Resampler:
    """Converts sound at one sample rate to mono at 22,050 Hz; output sample n is the sound at n / 22,050 s.

    The output does not depend on how many samples each push has. A resampler can be pickled between pushes.
    """

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: of the input, Hz. Raises UsageError unless it is a whole number from 1,000 to 768,000."""
        if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE or int(sample_rate) != sample_rate:
            raise UsageError(
                f"sample rate {sample_rate} Hz; whole rates from {LOWEST_RATE} to {HIGHEST_RATE} Hz are supported"
            )
        self.sample_rate = int(sample_rate)
        divisor = math.gcd(self.sample_rate, ENGINE_RATE)
        self._up, self._down = ENGINE_RATE // divisor, self.sample_rate // divisor
        self._is_passthrough = self._up == self._down
        self._taps = 0 if self._is_passthrough else design_polyphase_filters(self._up, self._down).shape[1]
        self._tail = np.zeros(max(0, self._taps // 2 - 1), np.float32)
        self._clock = np.zeros(2, np.int64)  # index in the tail of the next output's first tap; its phase

    @property
    def latency_s(self) -> float:
        """The delay in seconds: `push` returns the sound at time t when the input up to t + latency_s has come in."""
        return self._taps / 2 / self.sample_rate

    def push(self, samples: Floats32) -> Floats32:
        """Process the next samples; return the mono samples at 22,050 Hz that are ready, float32 (m,).

        samples: float32 (n,) or (n, channels), full scale ±1.
        """
        with_channels = samples.reshape(len(samples), -1) if samples.size else np.zeros((len(samples), 1), np.float32)
        sound = np.empty(len(self._tail) + len(samples), np.float32)
        sound[: len(self._tail)] = self._tail
        downmix(with_channels, sound[len(self._tail) :])
        return self._resample(sound)

    def flush(self) -> Floats32:
        """Return the remaining mono samples, float32 (m,), as if silence followed the input; call once, at the end."""
        return self._resample(np.concatenate((self._tail, np.zeros(self._taps // 2, np.float32))))

    def _resample(self, sound: Floats32) -> Floats32:
        if self._is_passthrough:
            return sound
        at, phase = (int(number) for number in self._clock)
        reach = len(sound) - self._taps - at  # the last complete sum may begin this much later
        count = max(0, ((reach + 1) * self._up - phase - 1) // self._down + 1)
        out = np.empty(count, np.float32)
        resample_by_filters(
            sound,
            self._clock,
            self._up,
            self._down,
            design_polyphase_filters(self._up, self._down),
            np.empty(8, np.float32),
            out,
        )
        consumed_samples = min(int(self._clock[0]), len(sound))
        self._tail = sound[consumed_samples:].copy()
        self._clock[0] -= consumed_samples
        return out
