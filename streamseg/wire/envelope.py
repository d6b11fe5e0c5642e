"""The envelope: one CloudEvents 1.0 object, made once, the same everywhere it goes.

The sequencer is the only place where an event gets a number and a wall-clock time. There is one per stream
and epoch; it is not thread-safe, its owner is the stream's worker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from streamseg.wire.events import EVENT_TYPES, Event, EventData

_MAX_SUBJECTS = 4096  # a subject's revisions come close together; forgetting keeps the memory bounded


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the world sees it. High-volume events have no `offset`."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    epoch: str
    offset: int | msgspec.UnsetType = msgspec.UNSET
    rev: int
    data: Any  # a Fact; or a plain dict when the type is from a newer version than ours

    @property
    def event(self) -> Event:
        """The bare fact, for comparing two runs. Raises TypeError for a type we do not know."""
        if not isinstance(self.data, EventData):
            raise TypeError(f"unknown event type {self.type}")
        return Event(self.subject, self.data)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode_envelope(envelope: Envelope) -> bytes:
    """The JSON text of an envelope, one line, without line end."""
    return _encoder.encode(envelope)


def decode_envelope(text: bytes | str) -> Envelope:
    """Read an envelope back, its data typed where the type is known.

    Raises msgspec.ValidationError when it is not an envelope, or its data is not what its type says.
    """
    envelope = _decoder.decode(text)
    fact = EVENT_TYPES.get(envelope.type)
    if fact is None:
        return envelope
    return msgspec.structs.replace(envelope, data=msgspec.convert(envelope.data, fact))


def format_wall_time(unix_s: float) -> str:
    """RFC 3339 with milliseconds, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class EventSequencer:
    """Stamps the events of one stream with epoch, offset, revision and time."""

    def __init__(self, stream: str, epoch: str, clock: Callable[[], float]) -> None:
        """stream: its name. epoch: a ULID. now: the wall clock, Unix seconds."""
        self.stream = stream
        self.epoch = epoch
        self.offset = 0
        self._clock = clock
        self._revisions: OrderedDict[str, int] = OrderedDict()
        self._high_volume_counts: dict[str, int] = {}

    def stamp_events(self, events: Iterable[Event]) -> list[Envelope]:
        """Number the events in the order they are given."""
        time = format_wall_time(self._clock())
        return [self._stamp_event(event, time) for event in events]

    def _stamp_event(self, event: Event, time: str) -> Envelope:
        offset: int | msgspec.UnsetType
        if event.data.high_volume:
            n = self._high_volume_counts[event.type] = self._high_volume_counts.get(event.type, 0) + 1
            offset, rev, identity = msgspec.UNSET, n, f"{self.epoch}:{event.type}:{n}"
        else:
            self.offset += 1
            offset, rev, identity = self.offset, self._next_revision(event.subject), f"{self.epoch}:{self.offset}"
        return Envelope(
            specversion="1.0",
            id=identity,
            source=f"/streams/{self.stream}",
            type=event.type,
            subject=event.subject,
            time=time,
            datacontenttype="application/json",
            epoch=self.epoch,
            offset=offset,
            rev=rev,
            data=event.data,
        )

    def _next_revision(self, subject: str) -> int:
        rev = self._revisions.pop(subject, 0) + 1
        self._revisions[subject] = rev
        if len(self._revisions) > _MAX_SUBJECTS:
            self._revisions.popitem(last=False)
        return rev
