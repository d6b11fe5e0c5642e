"""The facts: everything streamseg can say, one struct a type.

An `Event` is what the engine says: `(type, subject, data)`. Two runs "say the same" when these three are
equal. `envelope.py` stamps events with who, where and when. Fields are those of the protocol; fields may be
added, none is renamed or dropped without a new version. All times are stream seconds, counted from samples.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

ConfirmedState: TypeAlias = Literal["provisional", "confirmed"]


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """The `data` of one event."""

    type: ClassVar[str]
    high_volume: ClassVar[bool] = False


class Event(msgspec.Struct, frozen=True):
    """One fact about one subject (a boundary, a section, the stream)."""

    subject: str
    data: EventData

    @property
    def type(self) -> str:
        """The CloudEvents type, such as `streamseg.boundary.confirmed.v1`."""
        return self.data.type


class StreamStarted(EventData, frozen=True, kw_only=True):
    """The first sample arrived. `settings` is the hash of settings, model and memory."""

    type: ClassVar[str] = "streamseg.stream.started.v1"
    sample_rate: int
    channels: int
    source: str
    profile: str
    settings: dict[str, Any]
    latency_s: float
    hashes: dict[str, str]


class StreamGap(EventData, frozen=True, kw_only=True):
    """Audio was lost; stream time advances by `missing_s`."""

    type: ClassVar[str] = "streamseg.stream.gap.v1"
    t: float
    missing_s: float
    cause: Literal["overflow", "device-lost", "network", "stalled"]


class StreamLost(EventData, frozen=True, kw_only=True):
    """The source went away and is being tried again."""

    type: ClassVar[str] = "streamseg.stream.lost.v1"
    t: float
    reason: str


class StreamResumed(EventData, frozen=True, kw_only=True):
    """The source is back."""

    type: ClassVar[str] = "streamseg.stream.resumed.v1"
    t: float
    away_s: float


class StreamStopped(EventData, frozen=True, kw_only=True):
    """Everything pending was said."""

    type: ClassVar[str] = "streamseg.stream.stopped.v1"
    t: float
    reason: str
    totals: dict[str, float]


class StreamTitle(EventData, frozen=True, kw_only=True):
    """The station announced a title."""

    type: ClassVar[str] = "streamseg.stream.title.v1"
    t: float
    title: str


class FeatureDistances(msgspec.Struct, frozen=True, kw_only=True):
    """How far each side of the sound moved at a boundary, 0 to 1."""

    timbre: float
    harmony: float
    rhythm: float
    level: float


class PreviousSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section that a boundary ends."""

    section_id: str
    label: str | None


class NextSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section that a boundary begins."""

    section_id: str
    label: str | None
    seen_before: bool
    last_seen: float | None


class BoundaryProvisional(EventData, frozen=True, kw_only=True):
    """The sound seems to have changed at `t`; may be said again, `rev` rising."""

    type: ClassVar[str] = "streamseg.boundary.provisional.v1"
    boundary_id: str
    t: float
    decided_t: float
    stability: float
    score: float


class BoundaryConfirmed(EventData, frozen=True, kw_only=True):
    """It has changed. Its existence and `t` are never taken back."""

    type: ClassVar[str] = "streamseg.boundary.confirmed.v1"
    boundary_id: str
    t: float
    decided_t: float
    t_uncertainty: float
    confidence: float
    evidence: FeatureDistances
    snapped_to: str | None
    prev: PreviousSection
    next: NextSection
    at_end: bool = False


class BoundaryRetracted(EventData, frozen=True, kw_only=True):
    """What was provisional did not hold."""

    type: ClassVar[str] = "streamseg.boundary.retracted.v1"
    boundary_id: str
    decided_t: float
    at_end: bool = False


class SectionUpdated(EventData, frozen=True, kw_only=True):
    """What the open section is became clearer."""

    type: ClassVar[str] = "streamseg.section.updated.v1"
    section_id: str
    label: str | None
    name: str | None
    label_probabilities: dict[str, float]
    seen_before: bool
    last_seen: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a section was. `None` where it could not be measured, never 0."""

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
    """A section is over; said directly after the confirmation that ends it.

    role: of songs, which part it seems to be (`intro`, `verse-like`, `chorus-like`, `bridge-like`, `outro`): a guess,
    as likely as `role_confidence` says. None in other profiles.
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
    """A later look joined two labels."""

    type: ClassVar[str] = "streamseg.section.relabelled.v1"
    section_id: str
    label: str
    previous: str


class SoundConfidence(msgspec.Struct, frozen=True, kw_only=True):
    """Probability of each kind of sound, 0 to 1, independent of one another."""

    speech: float
    music: float
    silence: float


class SoundChanged(EventData, frozen=True, kw_only=True):
    """The kind of sound changed; speech over music is both."""

    type: ClassVar[str] = "streamseg.sound.changed.v1"
    t: float
    decided_t: float
    speech: bool
    music: bool
    silence: bool
    confidence: SoundConfidence


AlarmKind: TypeAlias = Literal["silence", "clipping", "mono", "frozen"]


class AlarmRaised(EventData, frozen=True, kw_only=True):
    """Something a station must know began."""

    type: ClassVar[str] = "streamseg.alarm.raised.v1"
    alarm: AlarmKind
    since: float
    level_db: float | None


class AlarmCleared(EventData, frozen=True, kw_only=True):
    """It is over."""

    type: ClassVar[str] = "streamseg.alarm.cleared.v1"
    alarm: AlarmKind
    since: float
    level_db: float | None


class AlarmAcknowledged(EventData, frozen=True, kw_only=True):
    """Somebody took notice of an alarm."""

    type: ClassVar[str] = "streamseg.alarm.acknowledged.v1"
    alarm: AlarmKind
    by: str


class LabelNamed(EventData, frozen=True, kw_only=True):
    """Somebody gave a label a name."""

    type: ClassVar[str] = "streamseg.label.named.v1"
    label: str
    name: str
    by: str


class HistoryFailed(EventData, frozen=True, kw_only=True):
    """Events are no longer kept; they go on live."""

    type: ClassVar[str] = "streamseg.history.failed.v1"
    reason: str
    since: str


class HistoryRestored(EventData, frozen=True, kw_only=True):
    """Events are kept again."""

    type: ClassVar[str] = "streamseg.history.restored.v1"
    reason: str
    since: str


class Meter(EventData, frozen=True, kw_only=True):
    """Levels now; opt-in, at most ten a second."""

    type: ClassVar[str] = "streamseg.meter.v1"
    high_volume: ClassVar[bool] = True
    t: float
    rms_db: float | None
    peak_db: float | None
    momentary_lufs: float | None = None
    short_term_lufs: float | None = None
    pitch_hz: float | None = None
    tempo_bpm: float | None = None
    key: str | None = None


class Novelty(EventData, frozen=True, kw_only=True):
    """How new the sound is now; opt-in, at most five a second."""

    type: ClassVar[str] = "streamseg.novelty.v1"
    high_volume: ClassVar[bool] = True
    t: float
    value: float
    threshold: float
    label: str | None
    label_probabilities: dict[str, float]


EVENT_TYPES: dict[str, type[EventData]] = {
    fact.type: fact
    for fact in (
        StreamStarted,
        StreamGap,
        StreamLost,
        StreamResumed,
        StreamStopped,
        StreamTitle,
        BoundaryProvisional,
        BoundaryConfirmed,
        BoundaryRetracted,
        SectionUpdated,
        SectionClosed,
        SectionRelabelled,
        SoundChanged,
        AlarmRaised,
        AlarmCleared,
        AlarmAcknowledged,
        LabelNamed,
        HistoryFailed,
        HistoryRestored,
        Meter,
        Novelty,
    )
}


def topic_of_type(event_type: str) -> str:
    """The word a client subscribes to: `boundary` for `streamseg.boundary.confirmed.v1`."""
    return event_type.split(".")[1]
