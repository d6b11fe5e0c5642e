"""The envelope of an event: a CloudEvents 1.0 object, the same for every output.

Only `EventSequencer` gives an event its offset, revision and wall-clock time. There is one for each epoch of a stream;
it is not thread-safe and belongs to the stream's worker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from streamseg.wire.events import EVENT_TYPES, Event, EventData

_MAX_SUBJECTS = 4096  # the revisions of a subject come close together, so the oldest subjects can be dropped


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is sent and stored: a CloudEvent, with the event's own content in `data`.

    source: `/streams/NAME`. time: RFC 3339. epoch: the run of the stream, a ULID. offset: place in the epoch, from 1;
    high-volume events have none. rev: number of the event among those of its `subject` (high-volume: its type).
    """

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
    data: Any  # an EventData; a dict where the type is of a newer version than this one

    @property
    def event(self) -> Event:
        """The event without its envelope. Raises TypeError where this version does not know the type."""
        if not isinstance(self.data, EventData):
            raise TypeError(f"unknown event type {self.type}")
        return Event(self.subject, self.data)


def make_envelope(
    event: Event, *, stream: str, epoch: str, offset: int | msgspec.UnsetType, rev: int, time: str, id: str
) -> Envelope:
    """Return an envelope with an event and these attributes. Most callers use `EventSequencer`, which chooses them.

    stream: name of the stream. offset: UNSET for a high-volume event. time: from `format_wall_time`.
    """
    return Envelope(
        specversion="1.0",
        id=id,
        source=f"/streams/{stream}",
        type=event.type,
        subject=event.subject,
        time=time,
        datacontenttype="application/json",
        epoch=epoch,
        offset=offset,
        rev=rev,
        data=event.data,
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode_envelope(envelope: Envelope) -> bytes:
    """Encode an envelope as JSON on one line, without a line break at its end."""
    return _encoder.encode(envelope)


def decode_envelope(text: bytes | str) -> Envelope:
    """Decode an envelope from JSON. `data` becomes an `EventData`, or stays a dict where the type is unknown.

    Raises msgspec.DecodeError for text that is no JSON, its subclass ValidationError for JSON that is no envelope or
    has data that do not match the type.
    """
    envelope = _decoder.decode(text)
    data_class = EVENT_TYPES.get(envelope.type)
    if data_class is None:
        return envelope
    return msgspec.structs.replace(envelope, data=msgspec.convert(envelope.data, data_class))


def format_wall_time(unix_s: float) -> str:
    """Format a time in Unix seconds as RFC 3339 in UTC, with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class EventSequencer:
    """Puts the events of one epoch (run) of a stream into envelopes with epoch, offset, revision and wall time."""

    def __init__(self, stream: str, epoch: str, clock: Callable[[], float]) -> None:
        """stream: its name. epoch: a new ULID. clock: returns the wall-clock time in Unix seconds."""
        self.stream = stream
        self.epoch = epoch
        self.offset = 0
        self._clock = clock
        self._revisions: OrderedDict[str, int] = OrderedDict()
        self._high_volume_counts: dict[str, int] = {}

    def stamp_events(self, events: Iterable[Event]) -> list[Envelope]:
        """Return an envelope for each event, numbered in the given order; all have the wall-clock time of this call."""
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
        return make_envelope(
            event, stream=self.stream, epoch=self.epoch, offset=offset, rev=rev, time=time, id=identity
        )

    def _next_revision(self, subject: str) -> int:
        rev = self._revisions.pop(subject, 0) + 1
        self._revisions[subject] = rev
        if len(self._revisions) > _MAX_SUBJECTS:
            self._revisions.popitem(last=False)
        return rev
