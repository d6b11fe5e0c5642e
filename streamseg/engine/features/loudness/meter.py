"""Measures loudness, true peak and signal defects of all channels at the source's rate: a row for each 100 ms.

ITU-R BS.1770-5 (K-weighting, annex 1; true peak, annex 2) and EBU Tech 3341 (momentary, short-term). The gated
figures of a section, integrated loudness and loudness range, are computed from these rows in
`engine/sections/statistics.py`; the alarms use them too. Channels in the order of WAV: 5 and 6 channels are read as 5.0
and 5.1, otherwise all channels have the same weight.

Samples are gathered until 100 ms are complete, so that no figure depends on how they are cut into pushes.
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
    design_k_weighting,
    make_channel_weights,
    measure_weighted_energy,
)
from streamseg.engine.features.loudness.signal_defects import (
    FULL_SCALE,
    detect_clipping,
    find_repetition_lag,
    sanitise_samples,
    sum_channels,
    sum_squares,
)
from streamseg.engine.features.loudness.signal_defects import LANES as ENERGY_LANES
from streamseg.engine.features.loudness.true_peak import (
    LOOKBACK_SAMPLES,
    PEAK_SCRATCH_SIZE,
    PeakInterpolators,
    design_interpolators,
    find_max_magnitude,
    find_true_peak,
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
REPETITION_CHECKS_PER_SECOND: Final = 2  # each for periods no longer than from one check to the next
REPEATED_FRACTION: Final = 4  # 1 / 4 s must repeat

# The columns of a row.
POWER, MOMENTARY, SHORT_TERM, SAMPLE_PEAK, TRUE_PEAK, LEVEL, CHANNEL_DIFFERENCE, CLIPPING, FROZEN = range(9)
LOUDNESS_COLUMNS: Final = (
    "power", "momentary_lufs", "short_term_lufs", "sample_peak", "true_peak", "level", "apart", "cut", "frozen",
)  # fmt: skip


class LoudnessTables(NamedTuple):
    """The constants of a loudness meter: the filters for one sample rate, and a weight for each of C channels."""

    weighting: KWeighting
    channel_weights: Floats  # float64 (C,)
    interpolators: PeakInterpolators


class LoudnessState(NamedTuple):
    """The state of a loudness meter for C channels: recent samples, filter memory, recent power, repetition check."""

    planes: Floats32  # float32 (C, LOOKBACK_SAMPLES + N) a row per channel, after the last samples before it
    filter_memory: Floats  # float64 (C, FILTER_MEMORY) of the K-weighting
    recent_power: Floats  # float64 (SHORT_TERM_ROWS,) power of the newest rows, newest last
    channel_sum: Floats32  # float32 (M,) sum of the channels: what one check needs, and what came since the last
    pending_samples: Ints  # int64 (1,) samples of the row that is not yet complete
    rows: Ints  # int64 (1,) rows so far
    samples_since_check: Ints  # int64 (1,) for repetition
    is_repeating: Ints  # int64 (1,) result of the last check


class LoudnessScratch(NamedTuple):
    """Scratch memory of a loudness meter, overwritten for each 100 ms (at most N samples)."""

    lanes: Floats  # float64 (max((FILTER_MEMORY + 1) * LANES, ENERGY_LANES),)
    samples: Floats32  # float32 (N,)
    points: Floats32  # float32 (PEAK_SCRATCH_SIZE,)
    matches: Ints32  # int32 (L,) for lags below L


@subkernel
def transpose_samples(samples: Floats32, planes: Floats32, at: int) -> None:
    """Copy samples, float32 (n, channels), to `planes`, one row per channel, from column `at` on."""
    for c in range(samples.shape[1]):
        plane = planes[c, at : at + samples.shape[0]]
        for i in range(samples.shape[0]):
            plane[i] = samples[i, c]


@subkernel
def sanitise_and_write_mean_squares(
    planes: Floats32, end: int, tables: LoudnessTables, memory: Floats, scratch: LoudnessScratch, out: Floats
) -> None:
    """Sanitise samples in place; write their mean squares to `out`: K-weighted, unweighted, and of channel differences.

    planes: the columns from LOOKBACK_SAMPLES to before `end` are measured. memory: float64 (channels,
    FILTER_MEMORY), state. out: the row.
    """
    channels, n = planes.shape[0], end - LOOKBACK_SAMPLES
    first, work = planes[0, LOOKBACK_SAMPLES:end], scratch.samples[:n]
    power = level = difference = 0.0
    for c in range(channels):
        plane = planes[c, LOOKBACK_SAMPLES:end]
        sanitise_samples(plane)
        level += sum_squares(plane, scratch.lanes)
        power += tables.channel_weights[c] * measure_weighted_energy(
            plane, tables.weighting, memory[c], scratch.lanes, work
        )
        if c > 0:
            for i in range(n):
                work[i] = plane[i] - first[i]
            difference += sum_squares(work, scratch.lanes)
    out[POWER], out[LEVEL] = power / n, level / (n * channels)
    out[CHANNEL_DIFFERENCE] = difference / (n * channels) if channels > 1 else np.nan


@subkernel
def write_peaks_and_clipping(
    planes: Floats32, end: int, tables: PeakInterpolators, points: Floats32, out: Floats
) -> None:
    """Write to `out` the highest sample peak and true peak of all channels (linear), and whether samples are clipped.

    planes: the columns from LOOKBACK_SAMPLES to before `end` are measured. points: float32 (PEAK_SCRATCH_SIZE,),
    scratch. out: the row.
    """
    bits, points_bits = planes.view(np.int32), points.view(np.int32)
    peak = np.float32(0.0)
    for c in range(planes.shape[0]):
        peak = max(peak, find_max_magnitude(bits[c, LOOKBACK_SAMPLES:end], points, points_bits))
    out[SAMPLE_PEAK] = peak
    for c in range(planes.shape[0]):
        peak = find_true_peak(planes[c, :end], bits[c, :end], tables, peak, points, points_bits)
    out[TRUE_PEAK] = peak
    out[CLIPPING] = out[SAMPLE_PEAK] >= FULL_SCALE and detect_clipping(planes, LOOKBACK_SAMPLES, end)


@subkernel
def write_loudness(power: float, row_count: int, recent_power: Floats, out: Floats) -> None:
    """Add `power` to `recent_power`; write momentary and short-term loudness (LUFS, NaN before 0.4 and 3 s) to `out`.

    power: of this row. row_count: rows so far, with this one. recent_power: float64 (SHORT_TERM_ROWS,), state.
    """
    for i in range(SHORT_TERM_ROWS - 1):
        recent_power[i] = recent_power[i + 1]
    recent_power[SHORT_TERM_ROWS - 1] = power
    momentary = short_term = 0.0
    for i in range(SHORT_TERM_ROWS):
        short_term += recent_power[i] / SHORT_TERM_ROWS
        if i >= SHORT_TERM_ROWS - MOMENTARY_ROWS:
            momentary += recent_power[i] / MOMENTARY_ROWS
    out[MOMENTARY] = DB * math.log(max(MIN_POWER, momentary)) + OFFSET_LU if row_count >= MOMENTARY_ROWS else np.nan
    out[SHORT_TERM] = DB * math.log(max(MIN_POWER, short_term)) + OFFSET_LU if row_count >= SHORT_TERM_ROWS else np.nan


@subkernel
def detect_repetition(end: int, sample_rate: int, state: LoudnessState, matches: Ints32) -> bool:
    """Add the newest 100 ms to the state; return whether the sound repeated exactly at the last check (two a second).

    The samples are added to `state.channel_sum`. end: of these samples in `state.planes`;
    `state.rows` already counts their row. matches: int32, scratch.
    """
    past, since_check = state.channel_sum, state.samples_since_check
    max_lag, match_length = sample_rate // REPETITION_CHECKS_PER_SECOND, sample_rate // REPEATED_FRACTION
    span, n = max_lag + match_length, end - LOOKBACK_SAMPLES
    newest = span + since_check[0] + n
    sum_channels(state.planes, LOOKBACK_SAMPLES, end, past[newest - n : newest])
    since_check[0] += n
    if state.rows[0] % (ROWS_PER_SECOND // REPETITION_CHECKS_PER_SECOND) == 0:
        lag = find_repetition_lag(past[newest - span : newest], max_lag, match_length, matches)
        state.is_repeating[0] = lag > 0
        for i in range(span):
            past[i] = past[newest - span + i]
        since_check[0] = 0
    return bool(state.is_repeating[0] > 0)


@kernel
def write_loudness_rows(
    samples: Floats32,
    sample_rate: int,
    tables: LoudnessTables,
    state: LoudnessState,
    scratch: LoudnessScratch,
    out: Floats,
) -> None:
    """Process the next samples, float32 (n, channels); write a row to `out` for each 100 ms that is now complete.

    sample_rate: Hz. out: float64 (rows, len(LOUDNESS_COLUMNS)).
    """
    planes, pending, rows = state.planes, state.pending_samples, state.rows
    at = row = 0
    while at < samples.shape[0]:
        tenth = rows[0] % ROWS_PER_SECOND
        length = (tenth + 1) * sample_rate // ROWS_PER_SECOND - tenth * sample_rate // ROWS_PER_SECOND
        n = min(samples.shape[0] - at, length - pending[0])
        transpose_samples(samples[at : at + n], planes, LOOKBACK_SAMPLES + pending[0])
        at += n
        pending[0] += n
        if pending[0] < length:
            return
        end = LOOKBACK_SAMPLES + length
        rows[0] += 1
        sanitise_and_write_mean_squares(planes, end, tables, state.filter_memory, scratch, out[row])
        write_loudness(out[row, POWER], rows[0], state.recent_power, out[row])
        write_peaks_and_clipping(planes, end, tables.interpolators, scratch.points, out[row])
        out[row, FROZEN] = detect_repetition(end, sample_rate, state, scratch.matches)
        for c in range(planes.shape[0]):
            for i in range(LOOKBACK_SAMPLES):
                planes[c, i] = planes[c, length + i]
        pending[0] = 0
        row += 1


class LoudnessMeter:
    """Measures loudness, peaks and signal defects of all channels; `push` returns a row of figures for each 100 ms.

    power: mean square after the K-weighting, channels weighted and added.
    momentary_lufs, short_term_lufs: of the last 0.4 and 3 s, -100.7 or more; NaN until so much sound was pushed.
    sample_peak, true_peak: linear, full scale 1, the largest of all channels.
    level: mean square of all samples. apart: mean square of the channels' differences from the first; NaN with one.
    cut: 1 where several samples in a row are at full scale. frozen: 1 where the sound repeated itself exactly at the
    last check, which is made twice a second.

    The rows do not depend on how many samples each push has. A meter can be pickled between pushes.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        """sample_rate: Hz. Raises UsageError unless it is from 1,000 to 768,000 and there is a channel."""
        if not (1_000 <= sample_rate <= 768_000 and channels >= 1):
            raise UsageError(f"{channels} channels at {sample_rate} Hz; 1 or more at 1,000 to 768,000 Hz are metered")
        self.sample_rate, self.channels = sample_rate, channels
        row_samples = sample_rate // ROWS_PER_SECOND + 1
        check_samples = sample_rate // REPETITION_CHECKS_PER_SECOND + 1
        self._state = LoudnessState(
            planes=np.zeros((channels, LOOKBACK_SAMPLES + row_samples), np.float32),
            filter_memory=np.zeros((channels, FILTER_MEMORY)),
            recent_power=np.zeros(SHORT_TERM_ROWS),
            channel_sum=np.zeros(2 * check_samples + sample_rate // REPEATED_FRACTION, np.float32),
            pending_samples=np.zeros(1, np.int64),
            rows=np.zeros(1, np.int64),
            samples_since_check=np.zeros(1, np.int64),
            is_repeating=np.zeros(1, np.int64),
        )
        self._make_tables()

    def _make_tables(self) -> None:
        """Make what is not pickled."""
        row_samples = self.sample_rate // ROWS_PER_SECOND
        self._tables = LoudnessTables(
            design_k_weighting(self.sample_rate, row_samples // LANES),
            make_channel_weights(self.channels),
            design_interpolators(self.sample_rate),
        )
        self._scratch = LoudnessScratch(
            np.zeros(max((FILTER_MEMORY + 1) * LANES, ENERGY_LANES)),
            np.zeros(row_samples + 1, np.float32),
            np.zeros(PEAK_SCRATCH_SIZE, np.float32),
            np.zeros(self.sample_rate // REPETITION_CHECKS_PER_SECOND + 1, np.int32),
        )

    def push(self, samples: Floats32) -> Floats:
        """Process the next samples; return a row of LOUDNESS_COLUMNS, float64, for each 100 ms that is now complete.

        samples: float32 (n, channels), full scale ±1. Raises UsageError for another number of channels.
        """
        if samples.shape[1:] != (self.channels,):
            raise UsageError(f"samples of shape {samples.shape}; (n, {self.channels}) are metered")
        tenth = int(self._state.rows[0]) % ROWS_PER_SECOND
        samples_of_second = (
            tenth * self.sample_rate // ROWS_PER_SECOND + int(self._state.pending_samples[0]) + len(samples)
        )
        # Row k of a second ends at sample (k + 1) * rate // 10: the rows that end by now, less those already returned.
        count = ((samples_of_second + 1) * ROWS_PER_SECOND - 1) // self.sample_rate - tenth
        out = np.empty((count, len(LOUDNESS_COLUMNS)))
        samples = np.ascontiguousarray(samples)
        write_loudness_rows(samples, self.sample_rate, self._tables, self._state, self._scratch, out)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("sample_rate", "channels", "_state")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_tables()
