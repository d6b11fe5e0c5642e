"""Builds the report of a section: loudness, tempo, key, pitch, timbre, and shares of speech, music and silence.

Where a section starts is certain only some seconds later. So the rows of the last seconds are stored one by one, and a
row is added to the statistics of the current section only when no boundary can lie before it any more.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.loudness.meter import LOUDNESS_COLUMNS, MOMENTARY_ROWS, ROWS_PER_SECOND, SHORT_TERM_ROWS
from streamseg.engine.kernels import kernel
from streamseg.engine.sections.key import EstimatedKey, estimate_key
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
    find_percentile_bin,
    sum_chroma,
)
from streamseg.engine.sections.timed_rows import TimedRows, Times
from streamseg.engine.sound_class.durations import SOUND_CLASSES, ClassDurations, SoundClass
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP
from streamseg.wire.events import Report

Floats32: TypeAlias = NDArray[np.float32]

ACCUMULATE_EVERY_S: Final = 5.0  # old rows are added to the statistics in batches of so much
MIN_TONAL_FRACTION: Final = 0.05  # of all frames' chroma: below, there was next to no sound that could have a key
MIN_VOICED_S: Final = 0.25
MAX_SILENCE_FRACTION: Final = 0.5  # above, no tempo is reported: in silence, the features keep that of the sound before
TIME_TOLERANCE: Final = 1e-6  # seconds, since the times of boundaries are rounded


@kernel
def copy_report_columns(
    frames: NDArray[np.float64],
    columns: NDArray[np.int64],
    first_number: int,
    start_s: float,
    times: Times,
    rows: Floats32,
) -> None:
    """Copy the given columns of feature frames to `rows`, and write the time of each frame's middle to `times`.

    frames: shape (n, COLUMNS_TOTAL). columns: shape (k,), indices. first_number: number of the first of these
    frames since the last gap; frame 0 starts at start_s, stream seconds. Written: times, shape (n,), stream seconds;
    rows, shape (n, k).
    """
    for i in range(frames.shape[0]):
        times[i] = start_s + ((first_number + i) * HOP + FRAME / 2) / ENGINE_RATE
        for k in range(columns.size):
            rows[i, k] = frames[i, columns[k]]


class SectionReportBuilder:
    """Collects the feature frames and loudness of the current section, and builds its report when it closes."""

    def __init__(self, lookback_s: float, durations: ClassDurations | None = None) -> None:
        """Start at stream time 0.

        lookback_s: seconds; no section starts further back than this. durations: seconds of each sound class, which the
        sound classifier updates; None for no class at any time.
        """
        self._lookback_s = lookback_s
        self._durations = durations or ClassDurations()
        self._frames = TimedRows(len(REPORT_COLUMNS), np.float32)  # times: the middle of each
        self._loudness_rows = TimedRows(len(LOUDNESS_COLUMNS), np.float64)  # times: the end of each
        self._section_start = 0.0
        self._class_seconds = (0.0, self._durations.seconds_until(0.0))  # a stream time, and the seconds until then
        self._frame_statistics, self._loudness_statistics = FrameStatistics(), LoudnessStatistics()
        self.continue_after_gap(0.0)

    def continue_after_gap(self, start: float) -> None:
        """Note that, after a gap, the next feature frame and loudness row start at stream time `start`, in seconds."""
        self._stretch_start = start
        self._n_frames = self._n_loudness_rows = 0

    def push_frames(self, frames: NDArray[np.float64]) -> None:
        """Collect the next feature frames, shape (n, COLUMNS_TOTAL), for the reports of sections."""
        if len(frames):
            times, rows = self._frames.extend(len(frames))
            copy_report_columns(frames, REPORT_COLUMNS, self._n_frames, self._stretch_start, times, rows)
            self._n_frames += len(frames)
            self._accumulate_old_rows(float(times[-1]) - self._lookback_s)

    def push_loudness(self, loudness: Rows) -> None:
        """Collect the next loudness rows, one for each 0.1 s, for the reports of sections.

        loudness: shape (n, len(LOUDNESS_COLUMNS)), from `LoudnessMeter`.
        """
        if len(loudness):
            times, rows = self._loudness_rows.extend(len(loudness))
            numbers = self._n_loudness_rows + 1 + np.arange(len(loudness))
            times[:] = self._stretch_start + numbers / ROWS_PER_SECOND
            rows[:] = loudness
            self._n_loudness_rows += len(loudness)

    def loudness_row_at(self, t: float) -> Rows | None:
        """Return the last loudness row that ended at or before stream time t, in seconds; None if there is none.

        Its shape is (len(LOUDNESS_COLUMNS),).
        """
        end = int(np.searchsorted(self._loudness_rows.times, t + TIME_TOLERANCE, side="right"))
        return self._loudness_rows.rows[end - 1] if end else None

    @property
    def key(self) -> EstimatedKey | None:
        """Estimate of the musical key of the current section so far; None if no key fits."""
        chroma = self._frame_statistics.chroma + sum_chroma(self._frames.rows)
        return estimate_key(chroma.astype(np.float64)) if chroma.any() else None

    def close_section(self, start: float, end: float) -> Report:
        """Build the report of the section from `start` to `end`, stream seconds, and delete all data before `end`."""
        frames, self._frame_statistics = self._frame_statistics, FrameStatistics()
        times, rows = self._frames.times, self._frames.rows
        frames.add_frames(rows[(times >= start - TIME_TOLERANCE) & (times < end)])
        self._frames.drop_oldest(int(np.searchsorted(times, end)))
        loudness, self._loudness_statistics = self._loudness_statistics, LoudnessStatistics()
        times, rows = self._loudness_rows.times, self._loudness_rows.rows
        _add_loudness_rows(loudness, times, rows, start, end)
        # Momentary and short-term loudness of the next section's first rows reach back before its start: not counted.
        self._loudness_rows.drop_oldest(int(np.searchsorted(times, end + TIME_TOLERANCE, side="right")))
        self._section_start = end
        return _make_report(end - start, frames, loudness, self._class_fractions(start, end))

    def _class_fractions(self, start: float, end: float) -> dict[SoundClass, float]:
        """Shares of the sound classes between two stream times. Sections are reported one after the other."""
        previous_end, seconds = self._class_seconds
        seconds_before = seconds if previous_end == start else self._durations.seconds_until(start)
        seconds_after = self._durations.seconds_until(end)
        self._class_seconds = end, seconds_after
        span = max(end - start, 1e-6)
        return {
            name: round(min(1.0, max(0.0, (after - before) / span)), 3)
            for name, before, after in zip(SOUND_CLASSES, seconds_before, seconds_after, strict=True)
        }

    def _accumulate_old_rows(self, before: float) -> None:
        """Move the rows of before this stream time from the recent ones into the statistics."""
        times = self._frames.times
        if times[0] > before - ACCUMULATE_EVERY_S:
            return
        rows = self._frames.rows
        old = int(np.searchsorted(times, before))
        self._frame_statistics.add_frames(rows[:old][times[:old] >= self._section_start - TIME_TOLERANCE])
        self._frames.drop_oldest(old)
        times, rows = self._loudness_rows.times, self._loudness_rows.rows
        old = int(np.searchsorted(times, before))
        _add_loudness_rows(self._loudness_statistics, times[:old], rows[:old], self._section_start, before)
        self._loudness_rows.drop_oldest(old)


def _add_loudness_rows(statistics: LoudnessStatistics, times: Times, rows: Rows, start: float, end: float) -> None:
    """Count the rows that lie wholly between start and end, and their loudness where all of its window does."""
    if len(times):
        ends = times <= end + TIME_TOLERANCE
        begins = [
            times - window_rows / ROWS_PER_SECOND >= start - TIME_TOLERANCE
            for window_rows in (1, MOMENTARY_ROWS, SHORT_TERM_ROWS)
        ]
        is_inside = ends & begins[0]
        statistics.add_rows(rows[is_inside], (begins[1] & ends)[is_inside], (begins[2] & ends)[is_inside])


def _make_report(
    duration_s: float, frames: FrameStatistics, loudness: LoudnessStatistics, fractions: dict[SoundClass, float]
) -> Report:
    integrated_lufs, loudness_range = loudness.integrated_lufs, loudness.range_lu
    tempo = _estimate_tempo(frames) if fractions["silence"] <= MAX_SILENCE_FRACTION else None
    is_tonal = frames.chroma.sum() >= MIN_TONAL_FRACTION * CHROMA_RESOLUTION * frames.frames and frames.chroma.any()
    key = estimate_key(frames.chroma.astype(np.float64)) if is_tonal else None
    is_voiced = frames.voiced_frames >= MIN_VOICED_S * FRAMES_PER_SECOND
    low, middle, high = (find_percentile_bin(frames.pitch, share) for share in (0.05, 0.5, 0.95))
    centroid, bandwidth = find_percentile_bin(frames.centroid, 0.5), find_percentile_bin(frames.bandwidth, 0.5)
    flatness = find_percentile_bin(frames.flatness, 0.5)
    sound_s = frames.frames / FRAMES_PER_SECOND
    return Report(
        duration_s=round(duration_s, 6),
        integrated_lufs=None if integrated_lufs is None else round(integrated_lufs, 2),
        loudness_range_lu=None if loudness_range is None else round(loudness_range, 2),
        true_peak_db=round(20.0 * math.log10(loudness.true_peak), 2) if loudness.true_peak > 0.0 else None,
        tempo_bpm=tempo[0] if tempo else None,
        tempo_confidence=tempo[1] if tempo else None,
        key=key.name if key else None,
        camelot=key.camelot if key else None,
        key_confidence=key.confidence if key else None,
        pitch_median_hz=round(PITCH_SCALE.value_at(middle), 1) if is_voiced and middle is not None else None,
        pitch_range_hz=(
            (round(PITCH_SCALE.value_at(low), 1), round(PITCH_SCALE.value_at(high), 1))
            if is_voiced and low is not None and high is not None
            else None
        ),
        voiced_fraction=round(frames.voiced_frames / frames.frames, 3) if frames.frames else None,
        centroid_hz=None if centroid is None else round(HZ_SCALE.value_at(centroid), 1),
        bandwidth_hz=None if bandwidth is None else round(HZ_SCALE.value_at(bandwidth), 1),
        flatness=None if flatness is None else round(FRACTION_SCALE.value_at(flatness), 6),
        onset_rate_hz=round(frames.onsets / sound_s, 3) if sound_s else None,
        chroma=tuple(round(float(c), 3) for c in frames.chroma / frames.chroma.max()) if is_tonal else None,
        speech_fraction=fractions["speech"],
        music_fraction=fractions["music"],
        silence_fraction=fractions["silence"],
    )


def _estimate_tempo(frames: FrameStatistics) -> tuple[float, float] | None:
    """The commonest tempo, within 2 %, in BPM, and its mean confidence over all frames; None if no frame has a tempo.

    Not a mean over the frames: 60 and 120 BPM are not 90.
    """
    if not frames.tempo.any():
        return None
    near = np.convolve(frames.tempo, np.ones(9, np.int64), mode="same")
    middle = int(np.argmax(near))
    span = np.arange(max(0, middle - 4), min(len(near), middle + 5))
    weights = frames.tempo[span]
    index = float((span * weights).sum() / weights.sum())
    return round(BPM_SCALE.value_at(index), 1), round(float(weights.sum()) / 1_000 / frames.frames, 3)
