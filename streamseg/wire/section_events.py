"""Events about sections: their labels, names and reports."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from streamseg.wire.event_data import EventData


class SectionUpdated(EventData, frozen=True, kw_only=True):
    """The label, or the label probabilities, of the section that has not ended changed.

    label: None where it is not estimated yet. name: what a user named the label, None without one. seen_before: whether
    an earlier section, or a named sound, has the label. last_seen: end of the last section that has it, in stream
    seconds; None without one.
    """

    type: ClassVar[str] = "streamseg.section.updated.v1"
    section_id: str
    label: str | None
    name: str | None
    label_probabilities: dict[str, float]
    seen_before: bool
    last_seen: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of one section, in the unit at the end of each name. A value that could not be measured is None."""

    duration_s: float
    integrated_lufs: float | None = None
    loudness_range_lu: float | None = None
    true_peak_db: float | None = None
    tempo_bpm: float | None = None
    tempo_confidence: float | None = None
    key: str | None = None
    camelot: str | None = None
    key_confidence: float | None = None
    pitch_median_hz: float | None = None
    pitch_range_hz: tuple[float, float] | None = None
    voiced_fraction: float | None = None
    centroid_hz: float | None = None
    bandwidth_hz: float | None = None
    flatness: float | None = None
    onset_rate_hz: float | None = None
    chroma: tuple[float, ...] | None = None
    speech_fraction: float | None = None
    music_fraction: float | None = None
    silence_fraction: float | None = None


class SectionClosed(EventData, frozen=True, kw_only=True):
    """A section ended. Emitted directly after the confirmation of the boundary that ends it.

    start, end: stream seconds. ended_by: why it ended: by a boundary, a gap in the sound, or the end of the stream.
    label, name, label_confidence: None where there is none. at_end: whether it is emitted because the stream ended.
    role: of songs, which part it seems to be (`intro`, `verse-like`, `chorus-like`, `bridge-like`, `outro`), an
    estimate with probability `role_confidence`. None in other profiles.
    """

    type: ClassVar[str] = "streamseg.section.closed.v1"
    section_id: str
    start: float
    end: float
    ended_by: Literal["boundary", "gap", "end"]
    label: str | None
    name: str | None
    label_confidence: float | None
    report: Report
    role: str | None = None
    role_confidence: float | None = None
    at_end: bool = False


class SectionRelabelled(EventData, frozen=True, kw_only=True):
    """The label of an earlier section changed from `previous` to `label`, because the engine merged two labels."""

    type: ClassVar[str] = "streamseg.section.relabelled.v1"
    section_id: str
    label: str
    previous: str


class LabelNamed(EventData, frozen=True, kw_only=True):
    """A client gave the label `label` the name `name`. by: the client's own name."""

    type: ClassVar[str] = "streamseg.label.named.v1"
    label: str
    name: str
    by: str
