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

from streamseg.engine.kernel import kernel, part
from streamseg.engine.loudness.health import FULL_SCALE, add_up, cut_off, energy, period, sane
from streamseg.engine.loudness.health import LANES as ENERGY_LANES
from streamseg.engine.loudness.kweighting import (
    LANES,
    MEMORY,
    Weighting,
    channel_weights,
    weighted_energy,
    weighting,
)
from streamseg.engine.loudness.truepeak import PEAK_ROOM, REACH, Interpolators, interpolators, largest, true_peak
from streamseg.errors import AskedWrongly

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]

BLOCKS_PER_SECOND: Final = 10
MOMENTARY_BLOCKS, SHORT_TERM_BLOCKS = 4, 30
OFFSET_LU: Final = -0.691  # BS.1770: makes a 997 Hz sine of -3.01 dB read -3.01 LKFS
QUIETEST: Final = 1e-10
DB: Final = 10.0 / math.log(10.0)
LOOKS: Final = 2  # a second, for a repetition of a period no longer than from one look to the next
VERIFIED: Final = 4  # so manieth part of a second must have repeated

# The columns of a row.
POWER, MOMENTARY, SHORT_TERM, SAMPLE_PEAK, TRUE_PEAK, LEVEL, APART, CUT, FROZEN = range(9)
BLOCK_COLUMNS: Final = (
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


class Tables(NamedTuple):
    """What is known beforehand, of a rate and a number of channels."""

    weighting: Weighting
    channels: Floats  # (channels,) how much each counts
    interpolators: Interpolators


class State(NamedTuple):
    """What was heard."""

    planes: Floats32  # (channels, REACH + samples of a block) a row a channel, behind the REACH samples before
    memory: Floats  # (channels, MEMORY) of the K-weighting
    recent: Floats  # (SHORT_TERM_BLOCKS,) power of the newest blocks
    past: Floats32  # the sum of the channels: as much as one look needs, and what came since the last
    counts: Ints  # HELD, BLOCKS, SINCE, STUCK


HELD, BLOCKS, SINCE, STUCK = range(4)  # samples of the block; blocks; samples since the last look, and what it saw


class Scratch(NamedTuple):
    """Room to work in."""

    lanes: Floats
    samples: Floats32  # of a block
    points: Floats32
    alike: Ints32  # of a look for repetitions


@part
def gather(samples: Floats32, planes: Floats32, at: int) -> None:
    """Samples (n, channels) into one row a channel, from column `at` on."""
    for c in range(samples.shape[1]):
        plane = planes[c, at : at + samples.shape[0]]
        for i in range(samples.shape[0]):
            plane[i] = samples[i, c]


@part
def energies(planes: Floats32, end: int, tables: Tables, memory: Floats, scratch: Scratch, out: Floats) -> None:
    """Mean squares: behind the K-weighting, as they are, and of what the channels differ by."""
    channels, n = planes.shape[0], end - REACH
    first, room = planes[0, REACH:end], scratch.samples[:n]
    power = level = apart = 0.0
    for c in range(channels):
        now = planes[c, REACH:end]
        sane(now)
        level += energy(now, scratch.lanes)
        power += tables.channels[c] * weighted_energy(now, tables.weighting, memory[c], scratch.lanes, room)
        if c > 0:
            for i in range(n):
                room[i] = now[i] - first[i]
            apart += energy(room, scratch.lanes)
    out[POWER], out[LEVEL] = power / n, level / (n * channels)
    out[APART] = apart / (n * channels) if channels > 1 else np.nan


@part
def peaks(planes: Floats32, end: int, tables: Interpolators, points: Floats32, out: Floats) -> None:
    """The largest magnitude at and between the samples."""
    bits, points_bits = planes.view(np.int32), points.view(np.int32)
    peak = np.float32(0.0)
    for c in range(planes.shape[0]):
        peak = max(peak, largest(bits[c, REACH:end], points, points_bits))
    out[SAMPLE_PEAK] = peak
    for c in range(planes.shape[0]):
        peak = true_peak(planes[c, :end], bits[c, :end], tables, peak, points, points_bits)
    out[TRUE_PEAK] = peak
    out[CUT] = out[SAMPLE_PEAK] >= FULL_SCALE and cut_off(planes, REACH, end)


@part
def loudnesses(power: float, heard: int, recent: Floats, out: Floats) -> None:
    """Momentary and short-term loudness with the newest block, the `heard`th."""
    for i in range(SHORT_TERM_BLOCKS - 1):
        recent[i] = recent[i + 1]
    recent[SHORT_TERM_BLOCKS - 1] = power
    momentary = short_term = 0.0
    for i in range(SHORT_TERM_BLOCKS):
        short_term += recent[i] / SHORT_TERM_BLOCKS
        if i >= SHORT_TERM_BLOCKS - MOMENTARY_BLOCKS:
            momentary += recent[i] / MOMENTARY_BLOCKS
    out[MOMENTARY] = DB * math.log(max(QUIETEST, momentary)) + OFFSET_LU if heard >= MOMENTARY_BLOCKS else np.nan
    out[SHORT_TERM] = DB * math.log(max(QUIETEST, short_term)) + OFFSET_LU if heard >= SHORT_TERM_BLOCKS else np.nan


@part
def stuck(planes: Floats32, end: int, sample_rate: int, past: Floats32, alike: Ints32, counts: Ints) -> bool:
    """Whether the sound repeats itself exactly, as seen at the last look."""
    longest, verified = sample_rate // LOOKS, sample_rate // VERIFIED
    needed, n = longest + verified, end - REACH
    newest = needed + counts[SINCE] + n
    add_up(planes, REACH, end, past[newest - n : newest])
    counts[SINCE] += n
    if counts[BLOCKS] % (BLOCKS_PER_SECOND // LOOKS) == 0:
        counts[STUCK] = period(past[newest - needed : newest], longest, verified, alike) > 0
        for i in range(needed):
            past[i] = past[newest - needed + i]
        counts[SINCE] = 0
    return bool(counts[STUCK] > 0)


@kernel
def advance(samples: Floats32, sample_rate: int, tables: Tables, state: State, scratch: Scratch, out: Floats) -> None:
    """Take samples (n, channels) in; write a row of `out` for each 100 ms they complete."""
    planes, counts = state.planes, state.counts
    at = row = 0
    while at < samples.shape[0]:
        turn = counts[BLOCKS] % BLOCKS_PER_SECOND
        length = (turn + 1) * sample_rate // BLOCKS_PER_SECOND - turn * sample_rate // BLOCKS_PER_SECOND
        n = min(samples.shape[0] - at, length - counts[HELD])
        gather(samples[at : at + n], planes, REACH + counts[HELD])
        at += n
        counts[HELD] += n
        if counts[HELD] < length:
            return
        end = REACH + length
        counts[BLOCKS] += 1
        energies(planes, end, tables, state.memory, scratch, out[row])
        loudnesses(out[row, POWER], counts[BLOCKS], state.recent, out[row])
        peaks(planes, end, tables.interpolators, scratch.points, out[row])
        out[row, FROZEN] = stuck(planes, end, sample_rate, state.past, scratch.alike, counts)
        for c in range(planes.shape[0]):
            for i in range(REACH):
                planes[c, i] = planes[c, length + i]
        counts[HELD] = 0
        row += 1


class Loudness:
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
            raise AskedWrongly(f"{channels} channels at {sample_rate} Hz; 1 or more at 1,000 to 768,000 Hz are metered")
        self.sample_rate, self.channels = sample_rate, channels
        block, look = sample_rate // BLOCKS_PER_SECOND + 1, sample_rate // LOOKS + 1
        self._state = State(
            planes=np.zeros((channels, REACH + block), np.float32),
            memory=np.zeros((channels, MEMORY)),
            recent=np.zeros(SHORT_TERM_BLOCKS),
            past=np.zeros(sample_rate // LOOKS + sample_rate // VERIFIED + look, np.float32),
            counts=np.zeros(4, np.int64),
        )
        self._make_rest()

    def _make_rest(self) -> None:
        """What can be made again."""
        block = self.sample_rate // BLOCKS_PER_SECOND
        self._tables = Tables(
            weighting(self.sample_rate, block // LANES),
            channel_weights(self.channels),
            interpolators(self.sample_rate),
        )
        self._scratch = Scratch(
            np.zeros(max((MEMORY + 1) * LANES, ENERGY_LANES)),
            np.zeros(block + 1, np.float32),
            np.zeros(PEAK_ROOM, np.float32),
            np.zeros(self.sample_rate // LOOKS + 1, np.int32),
        )

    def push(self, samples: Floats32) -> Floats:
        """Take float32 samples, shape (n, channels), full scale ±1; returns shape (blocks, len(BLOCK_COLUMNS))."""
        if samples.shape[1:] != (self.channels,):
            raise AskedWrongly(f"samples of shape {samples.shape}; (n, {self.channels}) are metered")
        counts = self._state.counts
        turn = int(counts[BLOCKS]) % BLOCKS_PER_SECOND
        heard = turn * self.sample_rate // BLOCKS_PER_SECOND + int(counts[HELD]) + len(samples)
        # Block k of a second ends at sample (k + 1) * rate // 10: those that end by `heard`, less those already said.
        out = np.empty((((heard + 1) * BLOCKS_PER_SECOND - 1) // self.sample_rate - turn, len(BLOCK_COLUMNS)))
        advance(np.ascontiguousarray(samples), self.sample_rate, self._tables, self._state, self._scratch, out)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("sample_rate", "channels", "_state")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_rest()
