"""What a section was, once it is over: loudness, tempo, key, pitch, timbre.

Where a section began is known only some seconds later. So the recent past is kept row by row, and only what lies so
far back that no boundary can reach it is counted into the open section's tally.
"""

from __future__ import annotations

import copy
import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernel import kernel
from streamseg.engine.key import Key, key_of
from streamseg.engine.loudness import BLOCK_COLUMNS, BLOCKS_PER_SECOND, MOMENTARY_BLOCKS, SHORT_TERM_BLOCKS
from streamseg.engine.tally import (
    BPM,
    CHROMA_STEPS,
    HZ,
    KEPT_COLUMNS,
    PITCH,
    SHARE,
    FrameTally,
    LoudnessTally,
    Rows,
    chroma_steps,
    percentile,
)
from streamseg.events import Report
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP

Times: TypeAlias = NDArray[np.float64]
Floats32: TypeAlias = NDArray[np.float32]

FOLD_EVERY_S: Final = 5.0  # older rows are counted in batches of so much
MOST_TONAL: Final = 0.05  # of all chroma: below, there was next to no sound to have a key
VOICED_LEAST_S: Final = 0.25
_ROOM: Final = 1_024  # rows; grows with what must be looked back at
NEAR: Final = 1e-6  # seconds; times are counted, and rounded when said


@kernel
def keep_frames(
    frames: NDArray[np.float64], columns: NDArray[np.int64], first: int, start_s: float, times: Times, rows: Floats32
) -> None:
    """Copy the columns that a report needs, and say when each frame was."""
    for i in range(frames.shape[0]):
        times[i] = start_s + ((first + i) * HOP + FRAME / 2) / ENGINE_RATE
        for k in range(columns.size):
            rows[i, k] = frames[i, columns[k]]


class _Recent:
    """Rows with their times, oldest first. New ones are written at the end, old ones dropped from the beginning."""

    def __init__(self, rows: Rows) -> None:
        """rows: the memory to begin with."""
        self._times, self._rows = np.zeros(len(rows)), rows
        self._begin = self._end = 0

    @property
    def held(self) -> tuple[Times, Rows]:
        """All there is, to be read before the next call."""
        return self._times[self._begin : self._end], self._rows[self._begin : self._end]

    def room(self, n: int) -> tuple[Times, Rows]:
        """Times and rows of n new ones, to be written."""
        if self._end + n > len(self._times):
            times, rows = self.held
            capacity = len(self._times) * (2 if 2 * (len(times) + n) > len(self._times) else 1)
            capacity = max(capacity, len(times) + n)
            self._times, self._rows = np.zeros(capacity), np.zeros((capacity, rows.shape[1]), rows.dtype)
            self._begin, self._end = 0, len(times)
            self._times[: self._end], self._rows[: self._end] = times, rows
        self._end += n
        return self._times[self._end - n : self._end], self._rows[self._end - n : self._end]

    def drop(self, n: int) -> None:
        """Forget the n oldest."""
        self._begin += n


class Reports:
    """Takes frames of features and blocks of loudness in; gives the report of a span.

    lookback_s: no boundary is ever drawn further back than this.
    """

    def __init__(self, lookback_s: float) -> None:
        self._lookback_s = lookback_s
        self._frames = _Recent(np.zeros((_ROOM, len(KEPT_COLUMNS)), np.float32))  # times: middle of each
        self._blocks = _Recent(np.zeros((_ROOM, len(BLOCK_COLUMNS))))  # times: end of each
        self._start = 0.0
        self._tally, self._loudness = FrameTally(), LoudnessTally()

    def push_frames(self, first: int, stretch_start_s: float, frames: NDArray[np.float64]) -> None:
        """frames: as of `Features`, shape (n, COLUMNS_TOTAL); `first`: number of the first since the stretch began."""
        if len(frames):
            times, rows = self._frames.room(len(frames))
            keep_frames(frames, KEPT_COLUMNS, first, stretch_start_s, times, rows)
            self._fold(float(times[-1]) - self._lookback_s)

    def push_blocks(self, first: int, stretch_start_s: float, blocks: Rows) -> None:
        """blocks: as of `Loudness`; `first`: number of the first since the stretch began."""
        if len(blocks):
            times, rows = self._blocks.room(len(blocks))
            times[:] = stretch_start_s + (first + 1 + np.arange(len(blocks))) / BLOCKS_PER_SECOND
            rows[:] = blocks

    def block_at(self, t: float) -> Rows | None:
        """The newest block of loudness that ended by stream time t."""
        times, blocks = self._blocks.held
        ended = int(np.searchsorted(times, t + NEAR, side="right"))
        return blocks[ended - 1] if ended else None

    @property
    def key(self) -> Key | None:
        """The key since the open section's start, as far as heard."""
        chroma = self._tally.chroma + chroma_steps(self._frames.held[1])
        return key_of(chroma.astype(np.float64)) if chroma.any() else None

    def close(self, start: float, end: float) -> Report:
        """The report of the section from start to end (stream seconds); forgets what came before `end`."""
        self._start = start
        frames, loudness = copy.deepcopy(self._tally), copy.deepcopy(self._loudness)
        times, rows = self._frames.held
        frames.add(rows[(times >= start - NEAR) & (times < end)])
        self._frames.drop(int(np.searchsorted(times, end)))
        times, rows = self._blocks.held
        self._add_blocks(loudness, times, rows, start, end)
        # The next section's first short-term values reach back, but are not whole in it: only whole blocks count.
        self._blocks.drop(int(np.searchsorted(times, end + NEAR, side="right")))
        self._start, self._tally, self._loudness = end, FrameTally(), LoudnessTally()
        return _report(end - start, frames, loudness)

    def _fold(self, before: float) -> None:
        times, rows = self._frames.held
        if times[0] > before - FOLD_EVERY_S:
            return
        old = int(np.searchsorted(times, before))
        self._tally.add(rows[:old][times[:old] >= self._start - NEAR])
        self._frames.drop(old)
        times, rows = self._blocks.held
        old = int(np.searchsorted(times, before))
        self._add_blocks(self._loudness, times[:old], rows[:old], self._start, before)
        self._blocks.drop(old)

    @staticmethod
    def _add_blocks(tally: LoudnessTally, times: Times, rows: Rows, start: float, end: float) -> None:
        if len(times):
            ends = times <= end + NEAR
            begins = [
                times - blocks / BLOCKS_PER_SECOND >= start - NEAR
                for blocks in (1, MOMENTARY_BLOCKS, SHORT_TERM_BLOCKS)
            ]
            whole = ends & begins[0]
            tally.add(rows[whole], (begins[1] & ends)[whole], (begins[2] & ends)[whole])


def _report(duration_s: float, frames: FrameTally, loudness: LoudnessTally) -> Report:
    integrated, spread = loudness.integrated_lufs, loudness.range_lu
    tempo = _tempo(frames)
    tonal = frames.chroma.sum() >= MOST_TONAL * CHROMA_STEPS * frames.frames and frames.chroma.any()
    key = key_of(frames.chroma.astype(np.float64)) if tonal else None
    enough = frames.voiced >= VOICED_LEAST_S * FRAMES_PER_SECOND
    low, middle, high = (percentile(frames.pitch, share) for share in (0.05, 0.5, 0.95))
    centroid, bandwidth = percentile(frames.centroid, 0.5), percentile(frames.bandwidth, 0.5)
    flatness = percentile(frames.flatness, 0.5)
    heard_s = frames.frames / FRAMES_PER_SECOND
    return Report(
        duration_s=round(duration_s, 6),
        integrated_lufs=None if integrated is None else round(integrated, 2),
        loudness_range_lu=None if spread is None else round(spread, 2),
        true_peak_db=round(20.0 * math.log10(loudness.true_peak), 2) if loudness.true_peak > 0.0 else None,
        tempo_bpm=tempo[0] if tempo else None,
        tempo_confidence=tempo[1] if tempo else None,
        key=key.name if key else None,
        camelot=key.camelot if key else None,
        key_confidence=key.confidence if key else None,
        pitch_median_hz=round(PITCH.value(middle), 1) if enough and middle is not None else None,
        pitch_range_hz=(
            (round(PITCH.value(low), 1), round(PITCH.value(high), 1))
            if enough and low is not None and high is not None
            else None
        ),
        voiced_fraction=round(frames.voiced / frames.frames, 3) if frames.frames else None,
        centroid_hz=None if centroid is None else round(HZ.value(centroid), 1),
        bandwidth_hz=None if bandwidth is None else round(HZ.value(bandwidth), 1),
        flatness=None if flatness is None else round(SHARE.value(flatness), 6),
        onset_rate_hz=round(frames.onsets / heard_s, 3) if heard_s else None,
        chroma=tuple(round(float(c), 3) for c in frames.chroma / frames.chroma.max()) if tonal else None,
    )


def _tempo(frames: FrameTally) -> tuple[float, float] | None:
    """The tempo most heard, within 2 %, and its mean confidence over the whole span. No mean of tempi: 60 and 120 are
    not 90.
    """
    if not frames.tempo.any():
        return None
    near = np.convolve(frames.tempo, np.ones(9, np.int64), mode="same")
    middle = int(np.argmax(near))
    span = np.arange(max(0, middle - 4), min(len(near), middle + 5))
    weights = frames.tempo[span]
    index = float((span * weights).sum() / weights.sum())
    return round(BPM.value(index), 1), round(float(weights.sum()) / 1_000 / frames.frames, 3)
