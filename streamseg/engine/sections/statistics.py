"""Computes statistics of a section in constant memory: sums and histograms.

All counts are whole numbers, so the figures do not depend on the order or the sizes of what is added. This limits the
resolution to 0.01 LU, 10 cents and 1 % of a frequency.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.loudness.meter import LOUDNESS_COLUMNS, MOMENTARY, SHORT_TERM, TRUE_PEAK

Rows: TypeAlias = NDArray[np.floating]
Counts: TypeAlias = NDArray[np.int64]

# The columns of a frame that a report needs.
REPORT_FEATURES: Final = (
    "tuned_chroma",
    "centroid_hz",
    "bandwidth_hz",
    "flatness",
    "f0_hz",
    "onset_found",
    "tempo_bpm",
    "tempo_confidence",
)
REPORT_COLUMNS: Final = np.concatenate([np.arange(COLUMNS[name].start, COLUMNS[name].stop) for name in REPORT_FEATURES])
CENTROID, BANDWIDTH, FLATNESS, F0, ONSET, TEMPO, CONFIDENCE = range(12, 19)

CHROMA_RESOLUTION: Final = 1_000
MIN_TEMPO_CONFIDENCE: Final = 0.2  # tempi below are not counted


class LogHistogramBins:
    """Bins of a histogram, of equal width on a logarithmic scale: counts values per bin and gives a bin's value."""

    def __init__(self, lowest: float, highest: float, step: float) -> None:
        """lowest, highest: values at the centres of the first and last bin. step: ratio of neighbouring centres."""
        self.lowest, self.step = lowest, step
        self.size = int(np.ceil(np.log(highest / lowest) / np.log(step))) + 1

    def histogram(self, values: Rows, weights: Counts | None = None) -> Counts:
        """Return the number of values in each bin, or the sum of their weights, shape (size,).

        values, weights: shape (n,). The first and last bin also count the values beyond them.
        """
        positions = np.rint(np.log(np.maximum(values, 1e-300) / self.lowest) / np.log(self.step))
        indices = np.clip(positions, 0, self.size - 1).astype(np.int64)
        return np.bincount(indices, weights, self.size).astype(np.int64)  # exact: whole numbers far below 2^53

    def value_at(self, index: float) -> float:
        """Return the value at the centre of the bin with this index; a fractional index lies between two centres."""
        return float(self.lowest * self.step**index)


HZ_SCALE: Final = LogHistogramBins(20.0, 11_025.0, 1.01)
FRACTION_SCALE: Final = LogHistogramBins(1e-10, 1.0, 1.02)
PITCH_SCALE: Final = LogHistogramBins(55.0, 1_050.0, 2.0 ** (1 / 120))
BPM_SCALE: Final = LogHistogramBins(40.0, 230.0, 1.005)


def find_percentile_bin(counts: Counts, share: float) -> int | None:
    """Return the index of the bin where the cumulative counts reach `share` (0 to 1) of the total; None if all are 0.

    counts: shape (bins,).
    """
    total = int(counts.sum())
    return int(np.searchsorted(np.cumsum(counts), max(1.0, share * total))) if total else None


def sum_chroma(rows: Rows) -> Counts:
    """Return the sum of the chroma vectors of all rows, shape (12,), times 1000 and rounded to whole numbers.

    rows: shape (n, len(REPORT_COLUMNS)).
    """
    chroma: Counts = np.rint(rows[:, :12] * CHROMA_RESOLUTION).astype(np.int64).sum(axis=0)
    return chroma


class FrameStatistics:
    """Accumulates statistics of feature frames: numbers of frames and onsets, sum of chroma, histograms."""

    def __init__(self) -> None:
        self.frames = self.onsets = self.voiced_frames = 0
        self.chroma = np.zeros(12, np.int64)
        self.centroid, self.bandwidth = np.zeros(HZ_SCALE.size, np.int64), np.zeros(HZ_SCALE.size, np.int64)
        self.flatness = np.zeros(FRACTION_SCALE.size, np.int64)
        self.pitch = np.zeros(PITCH_SCALE.size, np.int64)
        self.tempo = np.zeros(BPM_SCALE.size, np.int64)  # thousandths of confidence

    def add_frames(self, rows: Rows) -> None:
        """Add n feature frames to the statistics. rows: their report columns, shape (n, len(REPORT_COLUMNS))."""
        self.frames += len(rows)
        self.onsets += int(rows[:, ONSET].sum())
        self.chroma += sum_chroma(rows)
        sounding = rows[rows[:, CENTROID] > 0.0]
        self.centroid += HZ_SCALE.histogram(sounding[:, CENTROID])
        self.bandwidth += HZ_SCALE.histogram(sounding[:, BANDWIDTH])
        self.flatness += FRACTION_SCALE.histogram(sounding[:, FLATNESS])
        voiced_f0 = rows[rows[:, F0] > 0.0, F0]
        self.voiced_frames += len(voiced_f0)
        self.pitch += PITCH_SCALE.histogram(voiced_f0)
        tempo_rows = rows[(rows[:, TEMPO] > 0.0) & (rows[:, CONFIDENCE] >= MIN_TEMPO_CONFIDENCE)]
        confidence = np.rint(1_000 * tempo_rows[:, CONFIDENCE]).astype(np.int64)
        self.tempo += BPM_SCALE.histogram(tempo_rows[:, TEMPO], confidence)


LUFS_LOWEST, LUFS_STEP, LUFS_SIZE = -70.0, 0.01, 8_501  # to +15 LUFS


class LoudnessStatistics:
    """Accumulates statistics of loudness: histograms of momentary and short-term loudness, and the true peak."""

    def __init__(self) -> None:
        self.momentary, self.short_term = np.zeros(LUFS_SIZE, np.int64), np.zeros(LUFS_SIZE, np.int64)
        self.true_peak = 0.0

    def add_rows(self, rows: Rows, whole_momentary: NDArray[np.bool_], whole_short_term: NDArray[np.bool_]) -> None:
        """Add loudness rows of `LoudnessMeter`, shape (n, len(LOUDNESS_COLUMNS)), to the histograms and the true peak.

        whole_momentary, whole_short_term: shape (n,), whether the 0.4 s and 3 s that end with a row lie in the section;
        its momentary and short-term loudness are counted only then.
        """
        assert rows.shape[1] == len(LOUDNESS_COLUMNS)  # noqa: S101  our own mistake, not a user's
        self.momentary += self._histogram(rows[whole_momentary, MOMENTARY])
        self.short_term += self._histogram(rows[whole_short_term, SHORT_TERM])
        self.true_peak = max(self.true_peak, float(rows[:, TRUE_PEAK].max(initial=0.0)))

    @staticmethod
    def _histogram(lufs: Rows) -> Counts:
        """Count values of loudness, shape (n,), from LUFS_LOWEST on: the absolute gate of BS.1770-5."""
        loud = lufs[lufs >= LUFS_LOWEST]
        indices = np.minimum(np.rint((loud - LUFS_LOWEST) / LUFS_STEP), LUFS_SIZE - 1).astype(np.int64)
        return np.bincount(indices, minlength=LUFS_SIZE).astype(np.int64)

    @property
    def integrated_lufs(self) -> float | None:
        """Integrated loudness by BS.1770-5, LUFS: mean power, gated at -70 LUFS and -10 LU; None if nothing passes."""
        return _gate_counts(self.momentary, 10.0)[0]

    @property
    def range_lu(self) -> float | None:
        """Loudness range by EBU Tech 3342, LU: 10th to 95th percentile of short-term loudness, gated at -20 LU.

        None if all is below the gate.
        """
        counts = _gate_counts(self.short_term, 20.0)[1]
        low, high = find_percentile_bin(counts, 0.10), find_percentile_bin(counts, 0.95)
        return None if low is None or high is None else (high - low) * LUFS_STEP


def _gate_counts(counts: Counts, gate_lu: float) -> tuple[float | None, Counts]:
    """Leave out what lies more than `gate_lu` below the mean power; returns the rest's mean in LUFS, and its counts."""
    if not counts.any():
        return None, counts
    lufs = LUFS_LOWEST + LUFS_STEP * np.arange(LUFS_SIZE)
    powers = 10.0 ** (lufs / 10.0)
    gate = 10.0 * np.log10((counts * powers).sum() / counts.sum()) - gate_lu
    counts = np.where(lufs > gate, counts, 0)
    return float(10.0 * np.log10((counts * powers).sum() / counts.sum())), counts
