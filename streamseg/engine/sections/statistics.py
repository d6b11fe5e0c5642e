"""What a span of sound amounts to, counted so that memory stays the same however long it is.

Everything is counted in whole numbers: sums do not depend on the order or size of what was added, so neither do the
figures. The price is a resolution: 0.01 LU, 10 cents, 1 % of a frequency.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.loudness.meter import LOUDNESS_COLUMNS, MOMENTARY, SHORT_TERM, TRUE_PEAK

Rows = NDArray[np.floating]
Counts = NDArray[np.int64]

# The columns of a frame that a section's figures need.
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
MIN_TEMPO_CONFIDENCE: Final = 0.2  # a tempo less sure than this is not counted


class LogScale:
    """Equal steps of the logarithm from `least` to `most`."""

    def __init__(self, lowest: float, highest: float, step: float) -> None:
        self.lowest, self.step = lowest, step
        self.size = int(np.ceil(np.log(highest / lowest) / np.log(step))) + 1

    def histogram(self, values: Rows, weights: Counts | None = None) -> Counts:
        """How many (or how much weight of) values lie in each step; what lies outside counts at the end."""
        place = np.rint(np.log(np.maximum(values, 1e-300) / self.lowest) / np.log(self.step))
        indices = np.clip(place, 0, self.size - 1).astype(np.int64)
        return np.bincount(indices, weights, self.size).astype(np.int64)  # exact: whole numbers far below 2^53

    def value_at(self, index: float) -> float:
        """The value at a step."""
        return float(self.lowest * self.step**index)


HZ_SCALE: Final = LogScale(20.0, 11_025.0, 1.01)
FRACTION_SCALE: Final = LogScale(1e-10, 1.0, 1.02)
PITCH_SCALE: Final = LogScale(55.0, 1_050.0, 2.0 ** (1 / 120))
BPM_SCALE: Final = LogScale(40.0, 230.0, 1.005)


def percentile_index(counts: Counts, share: float) -> int | None:
    """The first step at which `share` of everything counted is reached; None if nothing was."""
    total = int(counts.sum())
    return int(np.searchsorted(np.cumsum(counts), max(1.0, share * total))) if total else None


def sum_chroma(rows: Rows) -> Counts:
    """The sum of the chroma of these frames, in whole steps."""
    steps: Counts = np.rint(rows[:, :12] * CHROMA_RESOLUTION).astype(np.int64).sum(axis=0)
    return steps


class FrameStatistics:
    """Counts frames of features. rows: shape (n, len(KEPT_COLUMNS))."""

    def __init__(self) -> None:
        self.frames = self.onsets = self.voiced = 0
        self.chroma = np.zeros(12, np.int64)
        self.centroid, self.bandwidth = np.zeros(HZ_SCALE.size, np.int64), np.zeros(HZ_SCALE.size, np.int64)
        self.flatness = np.zeros(FRACTION_SCALE.size, np.int64)
        self.pitch = np.zeros(PITCH_SCALE.size, np.int64)
        self.tempo = np.zeros(BPM_SCALE.size, np.int64)  # thousandths of confidence

    def add_frames(self, rows: Rows) -> None:
        """Count these frames."""
        self.frames += len(rows)
        self.onsets += int(rows[:, ONSET].sum())
        self.chroma += sum_chroma(rows)
        sounding = rows[rows[:, CENTROID] > 0.0]
        self.centroid += HZ_SCALE.histogram(sounding[:, CENTROID])
        self.bandwidth += HZ_SCALE.histogram(sounding[:, BANDWIDTH])
        self.flatness += FRACTION_SCALE.histogram(sounding[:, FLATNESS])
        voiced = rows[rows[:, F0] > 0.0, F0]
        self.voiced += len(voiced)
        self.pitch += PITCH_SCALE.histogram(voiced)
        timed = rows[(rows[:, TEMPO] > 0.0) & (rows[:, CONFIDENCE] >= MIN_TEMPO_CONFIDENCE)]
        self.tempo += BPM_SCALE.histogram(timed[:, TEMPO], np.rint(1_000 * timed[:, CONFIDENCE]).astype(np.int64))


LUFS_LOWEST, LUFS_STEP, LUFS_SIZE = -70.0, 0.01, 8_501  # to +15 LUFS


class LoudnessStatistics:
    """Counts 100 ms blocks. rows: shape (n, len(BLOCK_COLUMNS)), as of `LoudnessMeter`."""

    def __init__(self) -> None:
        self.momentary, self.short_term = np.zeros(LUFS_SIZE, np.int64), np.zeros(LUFS_SIZE, np.int64)
        self.true_peak = 0.0

    def add_rows(self, rows: Rows, whole_momentary: NDArray[np.bool_], whole_short_term: NDArray[np.bool_]) -> None:
        """Count these blocks; the masks say whose 0.4 s and 3 s lie wholly in the span."""
        assert rows.shape[1] == len(LOUDNESS_COLUMNS)  # noqa: S101  ours, not a user's
        self.momentary += self._histogram(rows[whole_momentary, MOMENTARY])
        self.short_term += self._histogram(rows[whole_short_term, SHORT_TERM])
        self.true_peak = max(self.true_peak, float(rows[:, TRUE_PEAK].max(initial=0.0)))

    @staticmethod
    def _histogram(lufs: Rows) -> Counts:
        """The absolute gate: what is below -70 LUFS, or not whole, is not counted."""
        loud = lufs[lufs >= LUFS_LOWEST]
        indices = np.minimum(np.rint((loud - LUFS_LOWEST) / LUFS_STEP), LUFS_SIZE - 1).astype(np.int64)
        return np.bincount(indices, minlength=LUFS_SIZE).astype(np.int64)

    @property
    def integrated_lufs(self) -> float | None:
        """BS.1770-5: the mean power of blocks above -70 LUFS and above 10 LU below the mean of those."""
        return _gate(self.momentary, 10.0)[0]

    @property
    def range_lu(self) -> float | None:
        """EBU Tech 3342: from the 10th to the 95th percentile of short-term loudness, gated at -20 LU."""
        kept = _gate(self.short_term, 20.0)[1]
        low, high = percentile_index(kept, 0.10), percentile_index(kept, 0.95)
        return None if low is None or high is None else (high - low) * LUFS_STEP


def _gate(counts: Counts, gate_lu: float) -> tuple[float | None, Counts]:
    """The mean of what lies above `gate_lu` below the mean of all, in LUFS, and what lies there."""
    if not counts.any():
        return None, counts
    lufs = LUFS_LOWEST + LUFS_STEP * np.arange(LUFS_SIZE)
    powers = 10.0 ** (lufs / 10.0)
    gate = 10.0 * np.log10((counts * powers).sum() / counts.sum()) - gate_lu
    kept = np.where(lufs > gate, counts, 0)
    return float(10.0 * np.log10((kept * powers).sum() / kept.sum())), kept
