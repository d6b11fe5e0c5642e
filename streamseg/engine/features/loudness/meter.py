"""Loudness and the health of the signal, from the full rate and all channels, a row for each 100 ms.

ITU-R BS.1770-5 (K-weighting, annex 1; true peak, annex 2) and EBU Tech 3341 (momentary, short-term). The gated
figures of a span of time, integrated loudness and loudness range, are computed from these rows in `report.py`; the
alarms rest on them too. Channels in the order of WAV: 5 and 6 channels are read as 5.0 and 5.1, anything else weighs
every channel alike.

Samples are gathered until 100 ms are whole and then measured in one go, so that no figure depends on how they came.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.loudness.k_weighting import (
    FILTER_MEMORY,
    LANES,
    KWeighting,
    channel_weights,
    k_weighting_for,
    weighted_energy,
)
from streamseg.engine.features.loudness.signal_defects import (
    FULL_SCALE,
    detect_clipping,
    find_repetition_lag,
    sanitise,
    sum_channels,
    sum_of_squares,
)
from streamseg.engine.features.loudness.signal_defects import LANES as ENERGY_LANES
from streamseg.engine.features.loudness.true_peak import (
    LOOKBACK_SAMPLES,
    PEAK_SCRATCH_SIZE,
    PeakInterpolators,
    design_interpolators,
    find_true_peak,
    max_magnitude,
)
from streamseg.engine.kernels import kernel, subkernel
from streamseg.errors import UsageError

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]

ROWS_PER_SECOND: Final = 10
MOMENTARY_ROWS, SHORT_TERM_ROWS = 4, 30
OFFSET_LU: Final = -0.691  # BS.1770: makes a 997 Hz sine of -3.01 dB read -3.01 LKFS
MIN_POWER: Final = 1e-10
DB: Final = 10.0 / math.log(10.0)
REPETITION_CHECKS_PER_SECOND: Final = (
    2  # a second, for a repetition of a period no longer than from one look to the next
)
REPEATED_FRACTION: Final = 4  # so manieth part of a second must have repeated

# The columns of a row.
POWER, MOMENTARY, SHORT_TERM, SAMPLE_PEAK, TRUE_PEAK, LEVEL, CHANNEL_DIFFERENCE, CLIPPED, FROZEN = range(9)
LOUDNESS_COLUMNS: Final = (
    "power",
    "momentary_lufs",
    "short_term_lufs",
    "sample_peak",
    "true_peak",
    "level",
    "apart",
    "cut",
    "frozen",
)


class LoudnessTables(NamedTuple):
    """What is known beforehand, of a rate and a number of channels."""

    weighting: KWeighting
    channels: Floats  # (channels,) how much each counts
    interpolators: PeakInterpolators


class LoudnessState(NamedTuple):
    """What was heard."""

    planes: Floats32  # (channels, REACH + samples of a block) a row a channel, behind the REACH samples before
    filter_memory: Floats  # (channels, MEMORY) of the K-weighting
    recent_power: Floats  # (SHORT_TERM_BLOCKS,) power of the newest blocks
    channel_sum: Floats32  # the sum of the channels: as much as one look needs, and what came since the last
    counts: Ints  # HELD, BLOCKS, SINCE, STUCK


PENDING_SAMPLES, ROWS, SAMPLES_SINCE_CHECK, IS_REPEATING = range(
    4
)  # samples of the block; blocks; samples since the last look, and what it saw


class LoudnessScratch(NamedTuple):
    """Room to work in."""

    lanes: Floats
    samples: Floats32  # of a block
    points: Floats32
    alike: Ints32  # of a look for repetitions


@subkernel
def transpose_samples(samples: Floats32, planes: Floats32, at: int) -> None:
    """Samples (n, channels) into one row a channel, from column `at` on."""
    for c in range(samples.shape[1]):
        plane = planes[c, at : at + samples.shape[0]]
        for i in range(samples.shape[0]):
            plane[i] = samples[i, c]


@subkernel
def write_powers(
    planes: Floats32, end: int, tables: LoudnessTables, memory: Floats, scratch: LoudnessScratch, out: Floats
) -> None:
    """Mean squares: behind the K-weighting, as they are, and of what the channels differ by."""
    channels, n = planes.shape[0], end - LOOKBACK_SAMPLES
    first, room = planes[0, LOOKBACK_SAMPLES:end], scratch.samples[:n]
    power = level = apart = 0.0
    for c in range(channels):
        now = planes[c, LOOKBACK_SAMPLES:end]
        sanitise(now)
        level += sum_of_squares(now, scratch.lanes)
        power += tables.channels[c] * weighted_energy(now, tables.weighting, memory[c], scratch.lanes, room)
        if c > 0:
            for i in range(n):
                room[i] = now[i] - first[i]
            apart += sum_of_squares(room, scratch.lanes)
    out[POWER], out[LEVEL] = power / n, level / (n * channels)
    out[CHANNEL_DIFFERENCE] = apart / (n * channels) if channels > 1 else np.nan


@subkernel
def write_peaks(planes: Floats32, end: int, tables: PeakInterpolators, points: Floats32, out: Floats) -> None:
    """The largest magnitude at and between the samples."""
    bits, points_bits = planes.view(np.int32), points.view(np.int32)
    peak = np.float32(0.0)
    for c in range(planes.shape[0]):
        peak = max(peak, max_magnitude(bits[c, LOOKBACK_SAMPLES:end], points, points_bits))
    out[SAMPLE_PEAK] = peak
    for c in range(planes.shape[0]):
        peak = find_true_peak(planes[c, :end], bits[c, :end], tables, peak, points, points_bits)
    out[TRUE_PEAK] = peak
    out[CLIPPED] = out[SAMPLE_PEAK] >= FULL_SCALE and detect_clipping(planes, LOOKBACK_SAMPLES, end)


@subkernel
def write_loudness(power: float, row_count: int, recent: Floats, out: Floats) -> None:
    """Momentary and short-term loudness with the newest block, the `heard`th."""
    for i in range(SHORT_TERM_ROWS - 1):
        recent[i] = recent[i + 1]
    recent[SHORT_TERM_ROWS - 1] = power
    momentary = short_term = 0.0
    for i in range(SHORT_TERM_ROWS):
        short_term += recent[i] / SHORT_TERM_ROWS
        if i >= SHORT_TERM_ROWS - MOMENTARY_ROWS:
            momentary += recent[i] / MOMENTARY_ROWS
    out[MOMENTARY] = DB * math.log(max(MIN_POWER, momentary)) + OFFSET_LU if row_count >= MOMENTARY_ROWS else np.nan
    out[SHORT_TERM] = DB * math.log(max(MIN_POWER, short_term)) + OFFSET_LU if row_count >= SHORT_TERM_ROWS else np.nan


@subkernel
def detect_repetition(
    planes: Floats32, end: int, sample_rate: int, past: Floats32, alike: Ints32, counts: Ints
) -> bool:
    """Whether the sound repeats itself exactly, as seen at the last look."""
    longest, verified = sample_rate // REPETITION_CHECKS_PER_SECOND, sample_rate // REPEATED_FRACTION
    needed, n = longest + verified, end - LOOKBACK_SAMPLES
    newest = needed + counts[SAMPLES_SINCE_CHECK] + n
    sum_channels(planes, LOOKBACK_SAMPLES, end, past[newest - n : newest])
    counts[SAMPLES_SINCE_CHECK] += n
    if counts[ROWS] % (ROWS_PER_SECOND // REPETITION_CHECKS_PER_SECOND) == 0:
        counts[IS_REPEATING] = find_repetition_lag(past[newest - needed : newest], longest, verified, alike) > 0
        for i in range(needed):
            past[i] = past[newest - needed + i]
        counts[SAMPLES_SINCE_CHECK] = 0
    return bool(counts[IS_REPEATING] > 0)


@kernel
def push_samples(
    samples: Floats32,
    sample_rate: int,
    tables: LoudnessTables,
    state: LoudnessState,
    scratch: LoudnessScratch,
    out: Floats,
) -> None:
    """Take samples (n, channels) in; write a row of `out` for each 100 ms they complete."""
    planes, counts = state.planes, state.counts
    at = row = 0
    while at < samples.shape[0]:
        turn = counts[ROWS] % ROWS_PER_SECOND
        length = (turn + 1) * sample_rate // ROWS_PER_SECOND - turn * sample_rate // ROWS_PER_SECOND
        n = min(samples.shape[0] - at, length - counts[PENDING_SAMPLES])
        transpose_samples(samples[at : at + n], planes, LOOKBACK_SAMPLES + counts[PENDING_SAMPLES])
        at += n
        counts[PENDING_SAMPLES] += n
        if counts[PENDING_SAMPLES] < length:
            return
        end = LOOKBACK_SAMPLES + length
        counts[ROWS] += 1
        write_powers(planes, end, tables, state.filter_memory, scratch, out[row])
        write_loudness(out[row, POWER], counts[ROWS], state.recent_power, out[row])
        write_peaks(planes, end, tables.interpolators, scratch.points, out[row])
        out[row, FROZEN] = detect_repetition(planes, end, sample_rate, state.channel_sum, scratch.alike, counts)
        for c in range(planes.shape[0]):
            for i in range(LOOKBACK_SAMPLES):
                planes[c, i] = planes[c, length + i]
        counts[PENDING_SAMPLES] = 0
        row += 1


class LoudnessMeter:
    """Samples at their own rate in, all channels; a row of `BLOCK_COLUMNS` for each 100 ms they complete out.

    power: mean square behind the K-weighting, channels weighted and added.
    momentary_lufs, short_term_lufs: of the last 0.4 and 3 s, -100.7 at the least; NaN until so much was heard.
    sample_peak, true_peak: linear, full scale 1, the largest of all channels.
    level: mean square of all samples. apart: of what the channels differ from the first by; NaN with one channel.
    cut: 1 where several samples in a row lie at full scale. frozen: 1 where the sound repeated itself exactly when
    that was last looked at, which is twice a second.

    Results are the same bits whatever the sizes of the pushes. Pickles between pushes.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        if not (1_000 <= sample_rate <= 768_000 and channels >= 1):
            raise UsageError(f"{channels} channels at {sample_rate} Hz; 1 or more at 1,000 to 768,000 Hz are metered")
        self.sample_rate, self.channels = sample_rate, channels
        block, look = sample_rate // ROWS_PER_SECOND + 1, sample_rate // REPETITION_CHECKS_PER_SECOND + 1
        self._state = LoudnessState(
            planes=np.zeros((channels, LOOKBACK_SAMPLES + block), np.float32),
            filter_memory=np.zeros((channels, FILTER_MEMORY)),
            recent_power=np.zeros(SHORT_TERM_ROWS),
            channel_sum=np.zeros(
                sample_rate // REPETITION_CHECKS_PER_SECOND + sample_rate // REPEATED_FRACTION + look, np.float32
            ),
            counts=np.zeros(4, np.int64),
        )
        self._make_tables()

    def _make_tables(self) -> None:
        """What can be made again."""
        block = self.sample_rate // ROWS_PER_SECOND
        self._tables = LoudnessTables(
            k_weighting_for(self.sample_rate, block // LANES),
            channel_weights(self.channels),
            design_interpolators(self.sample_rate),
        )
        self._scratch = LoudnessScratch(
            np.zeros(max((FILTER_MEMORY + 1) * LANES, ENERGY_LANES)),
            np.zeros(block + 1, np.float32),
            np.zeros(PEAK_SCRATCH_SIZE, np.float32),
            np.zeros(self.sample_rate // REPETITION_CHECKS_PER_SECOND + 1, np.int32),
        )

    def push(self, samples: Floats32) -> Floats:
        """Take float32 samples, shape (n, channels), full scale ±1; returns shape (blocks, len(BLOCK_COLUMNS))."""
        if samples.shape[1:] != (self.channels,):
            raise UsageError(f"samples of shape {samples.shape}; (n, {self.channels}) are metered")
        counts = self._state.counts
        turn = int(counts[ROWS]) % ROWS_PER_SECOND
        heard = turn * self.sample_rate // ROWS_PER_SECOND + int(counts[PENDING_SAMPLES]) + len(samples)
        # Block k of a second ends at sample (k + 1) * rate // 10: those that end by `heard`, less those already said.
        out = np.empty((((heard + 1) * ROWS_PER_SECOND - 1) // self.sample_rate - turn, len(LOUDNESS_COLUMNS)))
        push_samples(np.ascontiguousarray(samples), self.sample_rate, self._tables, self._state, self._scratch, out)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("sample_rate", "channels", "_state")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_tables()
