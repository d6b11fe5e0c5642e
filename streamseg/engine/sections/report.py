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

from streamseg.engine.features.loudness.meter import LOUDNESS_COLUMNS, MOMENTARY_ROWS, ROWS_PER_SECOND, SHORT_TERM_ROWS
from streamseg.engine.kernels import kernel
from streamseg.engine.sections.key import KeyEstimate, estimate_key
from streamseg.engine.sections.statistics import (
    BPM_SCALE,
    CHROMA_RESOLUTION,
    FRACTION_SCALE,
    HZ_SCALE,
    PITCH_SCALE,
    REPORT_COLUMNS,
    FrameStatistics,
    LoudnessStatistics,
    Rows,
    percentile_index,
    sum_chroma,
)
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP
from streamseg.wire.events import Report

Times: TypeAlias = NDArray[np.float64]
Floats32: TypeAlias = NDArray[np.float32]

ACCUMULATE_EVERY_S: Final = 5.0  # older rows are counted in batches of so much
MIN_TONAL_FRACTION: Final = 0.05  # of all chroma: below, there was next to no sound to have a key
MIN_VOICED_S: Final = 0.25
_INITIAL_ROWS: Final = 1_024  # rows; grows with what must be looked back at
TIME_TOLERANCE: Final = 1e-6  # seconds; times are counted, and rounded when said


@kernel
def copy_report_columns(
    frames: NDArray[np.float64], columns: NDArray[np.int64], first: int, start_s: float, times: Times, rows: Floats32
) -> None:
    """Copy the columns that a report needs, and say when each frame was."""
    for i in range(frames.shape[0]):
        times[i] = start_s + ((first + i) * HOP + FRAME / 2) / ENGINE_RATE
        for k in range(columns.size):
            rows[i, k] = frames[i, columns[k]]


class _TimedRows:
    """Rows with their times, oldest first. New ones are written at the end, old ones dropped from the beginning."""

    def __init__(self, rows: Rows) -> None:
        """rows: the memory to begin with."""
        self._times, self._rows = np.zeros(len(rows)), rows
        self._begin = self._end = 0

    @property
    def rows(self) -> tuple[Times, Rows]:
        """All there is, to be read before the next call."""
        return self._times[self._begin : self._end], self._rows[self._begin : self._end]

    def append_rows(self, n: int) -> tuple[Times, Rows]:
        """Times and rows of n new ones, to be written."""
        if self._end + n > len(self._times):
            times, rows = self.rows
            capacity = len(self._times) * (2 if 2 * (len(times) + n) > len(self._times) else 1)
            capacity = max(capacity, len(times) + n)
            self._times, self._rows = np.zeros(capacity), np.zeros((capacity, rows.shape[1]), rows.dtype)
            self._begin, self._end = 0, len(times)
            self._times[: self._end], self._rows[: self._end] = times, rows
        self._end += n
        return self._times[self._end - n : self._end], self._rows[self._end - n : self._end]

    def drop_oldest(self, n: int) -> None:
        """Forget the n oldest."""
        self._begin += n


class SectionReporter:
    """Takes frames of features and blocks of loudness in; gives the report of a span.

    lookback_s: no boundary is ever drawn further back than this.
    """

    def __init__(self, lookback_s: float) -> None:
        self._lookback_s = lookback_s
        self._frames = _TimedRows(np.zeros((_INITIAL_ROWS, len(REPORT_COLUMNS)), np.float32))  # times: middle of each
        self._loudness_rows = _TimedRows(np.zeros((_INITIAL_ROWS, len(LOUDNESS_COLUMNS))))  # times: end of each
        self._start = 0.0
        self._frame_statistics, self._loudness_statistics = FrameStatistics(), LoudnessStatistics()

    def push_frames(self, first: int, stretch_start_s: float, frames: NDArray[np.float64]) -> None:
        """frames: of `FeatureExtractor`, shape (n, COLUMNS_TOTAL); first: the first one's number in this stretch."""
        if len(frames):
            times, rows = self._frames.append_rows(len(frames))
            copy_report_columns(frames, REPORT_COLUMNS, first, stretch_start_s, times, rows)
            self._accumulate_old_rows(float(times[-1]) - self._lookback_s)

    def push_loudness(self, first: int, stretch_start_s: float, blocks: Rows) -> None:
        """blocks: as of `LoudnessMeter`; `first`: number of the first since the stretch began."""
        if len(blocks):
            times, rows = self._loudness_rows.append_rows(len(blocks))
            times[:] = stretch_start_s + (first + 1 + np.arange(len(blocks))) / ROWS_PER_SECOND
            rows[:] = blocks

    def loudness_row_at(self, t: float) -> Rows | None:
        """The newest block of loudness that ended by stream time t."""
        times, blocks = self._loudness_rows.rows
        ended = int(np.searchsorted(times, t + TIME_TOLERANCE, side="right"))
        return blocks[ended - 1] if ended else None

    @property
    def key(self) -> KeyEstimate | None:
        """The key since the open section's start, as far as heard."""
        chroma = self._frame_statistics.chroma + sum_chroma(self._frames.rows[1])
        return estimate_key(chroma.astype(np.float64)) if chroma.any() else None

    def close_section(self, start: float, end: float) -> Report:
        """The report of the section from start to end (stream seconds); forgets what came before `end`."""
        self._start = start
        frames, loudness = copy.deepcopy(self._frame_statistics), copy.deepcopy(self._loudness_statistics)
        times, rows = self._frames.rows
        frames.add_frames(rows[(times >= start - TIME_TOLERANCE) & (times < end)])
        self._frames.drop_oldest(int(np.searchsorted(times, end)))
        times, rows = self._loudness_rows.rows
        self._add_loudness_rows(loudness, times, rows, start, end)
        # The next section's first short-term values reach back, but are not whole in it: only whole blocks count.
        self._loudness_rows.drop_oldest(int(np.searchsorted(times, end + TIME_TOLERANCE, side="right")))
        self._start, self._frame_statistics, self._loudness_statistics = end, FrameStatistics(), LoudnessStatistics()
        return _make_report(end - start, frames, loudness)

    def _accumulate_old_rows(self, before: float) -> None:
        times, rows = self._frames.rows
        if times[0] > before - ACCUMULATE_EVERY_S:
            return
        old = int(np.searchsorted(times, before))
        self._frame_statistics.add_frames(rows[:old][times[:old] >= self._start - TIME_TOLERANCE])
        self._frames.drop_oldest(old)
        times, rows = self._loudness_rows.rows
        old = int(np.searchsorted(times, before))
        self._add_loudness_rows(self._loudness_statistics, times[:old], rows[:old], self._start, before)
        self._loudness_rows.drop_oldest(old)

    @staticmethod
    def _add_loudness_rows(statistics: LoudnessStatistics, times: Times, rows: Rows, start: float, end: float) -> None:
        if len(times):
            ends = times <= end + TIME_TOLERANCE
            begins = [
                times - blocks / ROWS_PER_SECOND >= start - TIME_TOLERANCE
                for blocks in (1, MOMENTARY_ROWS, SHORT_TERM_ROWS)
            ]
            whole = ends & begins[0]
            statistics.add_rows(rows[whole], (begins[1] & ends)[whole], (begins[2] & ends)[whole])


def _make_report(duration_s: float, frames: FrameStatistics, loudness: LoudnessStatistics) -> Report:
    integrated, spread = loudness.integrated_lufs, loudness.range_lu
    tempo = _estimate_tempo(frames)
    tonal = frames.chroma.sum() >= MIN_TONAL_FRACTION * CHROMA_RESOLUTION * frames.frames and frames.chroma.any()
    key = estimate_key(frames.chroma.astype(np.float64)) if tonal else None
    enough = frames.voiced >= MIN_VOICED_S * FRAMES_PER_SECOND
    low, middle, high = (percentile_index(frames.pitch, share) for share in (0.05, 0.5, 0.95))
    centroid, bandwidth = percentile_index(frames.centroid, 0.5), percentile_index(frames.bandwidth, 0.5)
    flatness = percentile_index(frames.flatness, 0.5)
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
        pitch_median_hz=round(PITCH_SCALE.value_at(middle), 1) if enough and middle is not None else None,
        pitch_range_hz=(
            (round(PITCH_SCALE.value_at(low), 1), round(PITCH_SCALE.value_at(high), 1))
            if enough and low is not None and high is not None
            else None
        ),
        voiced_fraction=round(frames.voiced / frames.frames, 3) if frames.frames else None,
        centroid_hz=None if centroid is None else round(HZ_SCALE.value_at(centroid), 1),
        bandwidth_hz=None if bandwidth is None else round(HZ_SCALE.value_at(bandwidth), 1),
        flatness=None if flatness is None else round(FRACTION_SCALE.value_at(flatness), 6),
        onset_rate_hz=round(frames.onsets / heard_s, 3) if heard_s else None,
        chroma=tuple(round(float(c), 3) for c in frames.chroma / frames.chroma.max()) if tonal else None,
    )


def _estimate_tempo(frames: FrameStatistics) -> tuple[float, float] | None:
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
    return round(BPM_SCALE.value_at(index), 1), round(float(weights.sum()) / 1_000 / frames.frames, 3)
