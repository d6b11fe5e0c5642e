"""Events encoded once, in batches of one epoch."""

from __future__ import annotations

import msgspec

from streamseg.wire.envelope import Envelope, encode_envelope
from streamseg.wire.events import topic_of_type
from streamseg.wire.progress import StreamProgress
from streamseg.wire.topics import HIGH_VOLUME_TOPICS

_BATCH_EVENTS = 64


class EncodedEvent(msgspec.Struct, frozen=True):
    """One event on its way out: encoded once, for everybody."""

    envelope: Envelope
    json: bytes
    topic: str

    @property
    def high_volume(self) -> bool:
        """Whether it goes unnumbered, unkept, and first overboard."""
        return self.topic in HIGH_VOLUME_TOPICS


class EventBatch(msgspec.Struct, frozen=True):
    """What a stream said at once, all of one epoch, and how far it was then.

    Without events it only tells the position, or that an epoch begins.
    """

    stream: str
    epoch: str | None
    events: tuple[EncodedEvent, ...]
    position: StreamProgress | None


def encode_event(envelope: Envelope) -> EncodedEvent:
    """Encode an event for sending."""
    return EncodedEvent(envelope, encode_envelope(envelope), topic_of_type(envelope.type))


def split_by_epoch(stream: str, events: list[EncodedEvent], position: StreamProgress) -> list[EventBatch]:
    """Batches of one epoch each, of bounded size; the position belongs to the last."""
    batches: list[EventBatch] = []
    for said in events:
        epoch = said.envelope.epoch
        if batches and batches[-1].epoch == epoch and len(batches[-1].events) < _BATCH_EVENTS:
            batches[-1] = EventBatch(stream, epoch, (*batches[-1].events, said), None)
        else:
            batches.append(EventBatch(stream, epoch, (said,), None))
    if batches:
        batches[-1] = EventBatch(stream, batches[-1].epoch, batches[-1].events, position)
    return batches
