"""Measures level, loudness, pitch, tempo and key at the present moment, for the telemetry event `meter`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.loudness.meter import MOMENTARY, SAMPLE_PEAK, SHORT_TERM
from streamseg.engine.sections.report import SectionReportBuilder
from streamseg.engine.sections.statistics import MIN_TEMPO_CONFIDENCE
from streamseg.engine.timeline import Timeline
from streamseg.wire.events import MeterReading

_EVERY_FRAMES = 5
_FLOOR_LUFS = -100.0


class StreamMeter:
    """Makes the data of `meter` events: level, loudness, pitch, tempo and musical key at every fifth feature frame."""

    def __init__(self, timeline: Timeline, report_builder: SectionReportBuilder) -> None:
        """timeline: gives the times of frames. report_builder: gives recent rows of loudness, and the current key."""
        self._timeline, self._report_builder = timeline, report_builder
        self._key: str | None = None

    def update_musical_key(self) -> None:
        """Estimate the musical key of the current section again; the next `meter` events contain the result.

        Costly: call it once per texture vector.
        """
        key = self._report_builder.key
        self._key = key.name if key else None

    def measure_every_fifth_frame(self, first_frame: int, frames: NDArray[np.float64]) -> list[MeterReading]:
        """Return the data of a `meter` event for each frame whose number since the last gap is a multiple of 5.

        first_frame: number of the first of `frames`, since the last gap. frames: features, shape (n, COLUMNS_TOTAL).
        """
        return [
            self._measure_frame(self._timeline.frame_end_time(number), frames[number - first_frame])
            for number in range(first_frame, first_frame + len(frames))
            if number % _EVERY_FRAMES == 0
        ]

    def _measure_frame(self, t: float, frame: NDArray[np.float64]) -> MeterReading:
        rms_db, f0_hz, tempo, confidence = (
            float(frame[COLUMNS[name]][0]) for name in ("rms_db", "f0_hz", "tempo_bpm", "tempo_confidence")
        )
        row = self._report_builder.loudness_row_at(t)
        peak = 0.0 if row is None else float(row[SAMPLE_PEAK])
        momentary, short_term = (math.nan, math.nan) if row is None else (row[MOMENTARY], row[SHORT_TERM])
        return MeterReading(
            t=t,
            rms_db=round(rms_db, 2),
            peak_db=round(20.0 * math.log10(peak), 2) if peak > 0.0 else None,
            momentary_lufs=round(float(momentary), 2) if momentary > _FLOOR_LUFS else None,
            short_term_lufs=round(float(short_term), 2) if short_term > _FLOOR_LUFS else None,
            pitch_hz=round(f0_hz, 1) if f0_hz > 0.0 else None,
            tempo_bpm=round(tempo, 1) if confidence >= MIN_TEMPO_CONFIDENCE else None,
            key=self._key,
        )
