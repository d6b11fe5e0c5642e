"""Encoded events, and the batches in which they are written and sent."""

from __future__ import annotations

import msgspec

from streamseg.wire.envelope import Envelope, encode_envelope
from streamseg.wire.event_data import topic_of_type
from streamseg.wire.progress import StreamProgress
from streamseg.wire.topics import HIGH_VOLUME_TOPICS

_BATCH_EVENTS = 64


class EncodedEvent(msgspec.Struct, frozen=True):
    """An event and its JSON text, encoded once for the history and all clients."""

    envelope: Envelope
    json: bytes
    topic: str

    @property
    def high_volume(self) -> bool:
        """Whether the event has no offset, is not recorded, and may be dropped for a slow client."""
        return self.topic in HIGH_VOLUME_TOPICS


class EventBatch(msgspec.Struct, frozen=True):
    """Consecutive events of one epoch of a stream, and the stream's progress after them.

    Without events it announces an epoch, or (epoch None) only the progress.
    """

    stream: str
    epoch: str | None
    events: tuple[EncodedEvent, ...]
    progress: StreamProgress | None


def encode_event(envelope: Envelope) -> EncodedEvent:
    """Encode an event for writing and sending."""
    return EncodedEvent(envelope, encode_envelope(envelope), topic_of_type(envelope.type))


def split_by_epoch(stream: str, events: list[EncodedEvent], progress: StreamProgress) -> list[EventBatch]:
    """Split events into batches of one epoch each and of bounded size; the last one carries the progress."""
    batches: list[EventBatch] = []
    for event in events:
        epoch = event.envelope.epoch
        if batches and batches[-1].epoch == epoch and len(batches[-1].events) < _BATCH_EVENTS:
            batches[-1] = EventBatch(stream, epoch, (*batches[-1].events, event), None)
        else:
            batches.append(EventBatch(stream, epoch, (event,), None))
    if batches:
        batches[-1] = EventBatch(stream, batches[-1].epoch, batches[-1].events, progress)
    return batches
