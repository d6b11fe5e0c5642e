"""The meter: level, loudness, pitch, tempo and key of the present moment, for telemetry."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.loudness.meter import MOMENTARY, SAMPLE_PEAK, SHORT_TERM
from streamseg.engine.sections.report import SectionReporter
from streamseg.engine.sections.statistics import MIN_TEMPO_CONFIDENCE
from streamseg.engine.timeline import Timeline
from streamseg.wire.events import Meter

_EVERY_FRAMES = 5
_FLOOR_LUFS = -100.0


class StreamMeter:
    """Makes the `meter` events: one for every fifth frame of a stretch."""

    def __init__(self, timeline: Timeline, reporter: SectionReporter) -> None:
        """reporter: has the recent rows of loudness, and the key of the current section."""
        self._timeline, self._reporter = timeline, reporter
        self._key: str | None = None

    def update_key(self) -> None:
        """Estimate the key of the current section again. Costs more than a frame, so it is done once a step."""
        key = self._reporter.key
        self._key = key.name if key else None

    def measure_frames(self, first: int, frames: NDArray[np.float64]) -> list[Meter]:
        """Measure feature frames, shape (n, COLUMNS_TOTAL); first: number of the first one in this stretch."""
        return [
            self._measure_frame(self._timeline.frame_end(number), frames[number - first])
            for number in range(first, first + len(frames))
            if number % _EVERY_FRAMES == 0
        ]

    def _measure_frame(self, t: float, frame: NDArray[np.float64]) -> Meter:
        rms_db, f0_hz, tempo, confidence = (
            float(frame[COLUMNS[name]][0]) for name in ("rms_db", "f0_hz", "tempo_bpm", "tempo_confidence")
        )
        row = self._reporter.loudness_row_at(t)
        peak = 0.0 if row is None else float(row[SAMPLE_PEAK])
        momentary, short_term = (math.nan, math.nan) if row is None else (row[MOMENTARY], row[SHORT_TERM])
        return Meter(
            t=t,
            rms_db=round(rms_db, 2),
            peak_db=round(20.0 * math.log10(peak), 2) if peak > 0.0 else None,
            momentary_lufs=round(float(momentary), 2) if momentary > _FLOOR_LUFS else None,
            short_term_lufs=round(float(short_term), 2) if short_term > _FLOOR_LUFS else None,
            pitch_hz=round(f0_hz, 1) if f0_hz > 0.0 else None,
            tempo_bpm=round(tempo, 1) if confidence >= MIN_TEMPO_CONFIDENCE else None,
            key=self._key,
        )
