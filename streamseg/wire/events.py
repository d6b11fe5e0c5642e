"""Every class of event data, and `EVENT_TYPES`, which finds the class of a type.

An event is `(type, subject, data)`; two runs emit the same when these three are equal. `envelope.py` adds the stream,
the order and the wall-clock time. The field names are those of the protocol. A field may be added; none is renamed or
removed without a new version of its type. All times are stream seconds, counted from samples.
"""

from __future__ import annotations

from streamseg.wire.boundary_events import (
    BoundaryConfirmed,
    BoundaryProvisional,
    BoundaryRetracted,
    FeatureDistances,
    NextSection,
    PreviousSection,
)
from streamseg.wire.event_data import Event, EventData, topic_of_type
from streamseg.wire.section_events import LabelNamed, Report, SectionClosed, SectionRelabelled, SectionUpdated
from streamseg.wire.sound_events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmKind,
    AlarmRaised,
    MeterReading,
    Novelty,
    SoundChanged,
    SoundConfidence,
)
from streamseg.wire.stream_events import (
    HistoryFailed,
    HistoryRestored,
    StreamGap,
    StreamLost,
    StreamResumed,
    StreamStarted,
    StreamStopped,
    StreamTitle,
)

__all__ = [
    "EVENT_TYPES",
    "AlarmAcknowledged",
    "AlarmCleared",
    "AlarmKind",
    "AlarmRaised",
    "BoundaryConfirmed",
    "BoundaryProvisional",
    "BoundaryRetracted",
    "Event",
    "EventData",
    "FeatureDistances",
    "HistoryFailed",
    "HistoryRestored",
    "LabelNamed",
    "MeterReading",
    "NextSection",
    "Novelty",
    "PreviousSection",
    "Report",
    "SectionClosed",
    "SectionRelabelled",
    "SectionUpdated",
    "SoundChanged",
    "SoundConfidence",
    "StreamGap",
    "StreamLost",
    "StreamResumed",
    "StreamStarted",
    "StreamStopped",
    "StreamTitle",
    "topic_of_type",
]

EVENT_TYPES: dict[str, type[EventData]] = {
    data_class.type: data_class
    for data_class in (
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
        MeterReading,
        Novelty,
    )
}
