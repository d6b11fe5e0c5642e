"""Encodes events, and groups them into the batches that are recorded and sent."""

from __future__ import annotations

import msgspec

from streamseg.wire.envelope import Envelope, encode_envelope
from streamseg.wire.event_data import topic_of_type
from streamseg.wire.progress import StreamProgress
from streamseg.wire.topics import HIGH_VOLUME_TOPICS

_BATCH_EVENTS = 64


class EncodedEvent(msgspec.Struct, frozen=True):
    """An event with its JSON text, which is made once for the history and all clients."""

    envelope: Envelope
    json: bytes
    topic: str

    @classmethod
    def from_envelope(cls, envelope: Envelope) -> EncodedEvent:
        """Encode an event's envelope as JSON, and find the event's topic."""
        return cls(envelope, encode_envelope(envelope), topic_of_type(envelope.type))

    @property
    def is_high_volume(self) -> bool:
        """Whether the event's topic is high-volume: such events are not recorded, and are dropped for slow clients."""
        return self.topic in HIGH_VOLUME_TOPICS


class EventBatch(msgspec.Struct, frozen=True):
    """Consecutive events of one epoch of a stream, and the stream's progress after them.

    Without events it announces an epoch, or (epoch None) only the progress.
    """

    stream: str
    epoch: str | None
    events: tuple[EncodedEvent, ...]
    progress: StreamProgress | None


def batch_events_by_epoch(stream: str, events: list[EncodedEvent], final_progress: StreamProgress) -> list[EventBatch]:
    """Group a stream's events, in their order, into batches of at most 64; all events of a batch are of one epoch.

    final_progress: the stream's progress after the last event; only the last batch has it. No events: no batches.
    """
    batches: list[EventBatch] = []
    for event in events:
        epoch = event.envelope.epoch
        if batches and batches[-1].epoch == epoch and len(batches[-1].events) < _BATCH_EVENTS:
            batches[-1] = EventBatch(stream, epoch, (*batches[-1].events, event), None)
        else:
            batches.append(EventBatch(stream, epoch, (event,), None))
    if batches:
        batches[-1] = EventBatch(stream, batches[-1].epoch, batches[-1].events, final_progress)
    return batches
