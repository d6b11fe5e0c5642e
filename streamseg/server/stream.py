"""One stream as its listeners see it: what was sent, up to where, and to whom.

Everything here happens on the event loop, and only for events that may be sent (committed to the history, where
there is one). So the state, the cursor in heartbeats and the snapshot always agree with what listeners have got.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from streamseg.envelope import Envelope, encode
from streamseg.events import AlarmKind, Event, topic
from streamseg.server.interest import Interest
from streamseg.server.messages import (
    HIGH_VOLUME,
    Beat,
    CloseCode,
    Joined,
    StreamSnapshot,
    Verdict,
    event_message,
    message,
    text_frame,
)
from streamseg.server.snapshot import Fold
from streamseg.server.subjects import Subjects

_BATCH_EVENTS = 64


class Position(msgspec.Struct, frozen=True):
    """How far a stream was heard.

    t, watermark: stream seconds; nothing at or before the watermark changes any more.
    lag_s: how far the engine is behind the sound. dropped_samples: lost so far, per channel.
    engine_s: seconds the engine has worked so far.
    """

    t: float
    watermark: float
    lag_s: float = 0.0
    dropped_samples: int = 0
    engine_s: float = 0.0


class Controls(Protocol):
    """What clients and the history may ask of whoever feeds a stream.

    Called on the event loop: take note and return at once. A method raises AskedWrongly to refuse.
    What follows (`label.named`, `alarm.acknowledged`, a new epoch) comes back through `Hub.publish`.
    """

    def finish(self) -> None:
        """Say everything pending, then stop the stream."""

    def reset(self) -> None:
        """Say everything pending, then begin a new epoch over the same source."""

    def mark(self, t: float, verdict: Verdict) -> None:
        """Judge the boundary at `t` (stream seconds), or say that there is one."""

    def name(self, label: str, name: str, by: str) -> None:
        """Give a label a name."""

    def acknowledge(self, alarm: AlarmKind, by: str) -> None:
        """Take notice of an alarm."""

    def set_sensitivity(self, sensitivity: float) -> None:
        """Report more or fewer changes (0 to 1) from the next epoch on."""

    def say(self, event: Event) -> None:
        """Stamp this event in order with the stream's own and publish it (`history.failed`, `history.restored`)."""


class Listener(Protocol):
    """A client, as a stream sees it."""

    def send(self, frames: bytes) -> None:
        """Send these frames, or hang up. Never blocks."""

    def send_piece(self, frames: bytes) -> None:
        """Send a piece of what is sent only as fast as it is read (see `drained`). Never blocks, never hangs up."""

    def send_high_volume(self, topic: str, n: int, frames: bytes) -> None:
        """Send these n events of a topic, or count them as dropped. Never blocks."""

    async def drained(self) -> bool:
        """Wait until little is left to send, and let others have their turn; false when the client is gone."""

    def joined(self, streams: dict[str, Joined]) -> None:
        """Tell the client that it is in, and where it stands in each stream."""

    def hang_up(self, code: CloseCode, reason: str) -> None:
        """Close the connection."""


class Said(msgspec.Struct, frozen=True):
    """One event on its way out: encoded once, for everybody."""

    envelope: Envelope
    json: bytes
    topic: str

    @property
    def high_volume(self) -> bool:
        """Whether it goes unnumbered, unkept, and first overboard."""
        return self.topic in HIGH_VOLUME


class Batch(msgspec.Struct, frozen=True):
    """What a stream said at once, all of one epoch, and how far it was then.

    Without events it only tells the position, or that an epoch begins.
    """

    stream: str
    epoch: str | None
    said: tuple[Said, ...]
    position: Position | None


def say(envelope: Envelope) -> Said:
    """Encode an event for sending."""
    return Said(envelope, encode(envelope), topic(envelope.type))


def by_epoch(stream: str, kept: list[Said], position: Position) -> list[Batch]:
    """Batches of one epoch each, of bounded size; the position belongs to the last."""
    batches: list[Batch] = []
    for said in kept:
        epoch = said.envelope.epoch
        if batches and batches[-1].epoch == epoch and len(batches[-1].said) < _BATCH_EVENTS:
            batches[-1] = Batch(stream, epoch, (*batches[-1].said, said), None)
        else:
            batches.append(Batch(stream, epoch, (said,), None))
    if batches:
        batches[-1] = Batch(stream, batches[-1].epoch, batches[-1].said, position)
    return batches


class Stream:
    """One named stream."""

    def __init__(self, name: str, epoch: str, controls: Controls | None) -> None:
        self.name = name
        self.controls = controls
        self.source: str | None = None  # where its sound comes from; for who may control
        self.epoch = epoch
        self.offset = 0
        self.position = Position(0.0, 0.0)
        self.kept = True
        self.fold = Fold()
        self.fold.begin(epoch)
        self.subjects = Subjects()
        self.counts: Counter[str] = Counter()
        self._listeners: dict[Interest, set[Listener]] = {}
        self._snapshot_frame: bytes | None = None  # encoded once for all who join before the state changes

    @property
    def head(self) -> tuple[str, int]:
        """The cursor after everything sent so far."""
        return self.epoch, self.offset

    def deliver(self, batch: Batch, *, kept: bool = True) -> None:
        """Send events to whoever wants them; the position holds once they are sent."""
        self._snapshot_frame = None
        if batch.epoch is not None and batch.epoch != self.epoch:
            self.epoch, self.offset = batch.epoch, 0
            self.position = Position(0.0, 0.0)
            self.fold.begin(batch.epoch)
        for said in batch.said:
            if isinstance(said.envelope.offset, int):
                self.offset = said.envelope.offset
            self.fold.push(said.envelope)
            self.subjects.push(said.envelope)
        if batch.said:
            self.kept = kept
        if batch.position is not None:
            self.position = batch.position
            self.fold.advance(batch.position.t, batch.position.watermark)
        self.send(batch.said, kept=kept)

    def send(self, events: Sequence[Said], *, kept: bool = True) -> None:
        """Send events to whoever wants them, each with one write a listener."""
        if not events:
            return
        frames = [text_frame(event_message(said.json, kept=kept)) for said in events]
        for said in events:
            self.counts[said.envelope.type] += 1
        for interest, listeners in list(self._listeners.items()):
            _send(interest, listeners, events, frames)

    def listen(self, listener: Listener, interest: Interest) -> None:
        """From the next event on, this listener hears the stream."""
        self._listeners.setdefault(interest, set()).add(listener)

    def leave(self, listener: Listener, interest: Interest) -> None:
        """It hears it no longer."""
        listeners = self._listeners.get(interest, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(interest, None)

    def beat(self) -> Beat:
        """How far the stream is, for a heartbeat."""
        at = self.position
        return Beat(
            epoch=self.epoch,
            t=at.t,
            watermark=at.watermark,
            lag_s=at.lag_s,
            offset=self.offset,
            dropped_samples=at.dropped_samples,
            kept=self.kept,
        )

    def joined(self, *, recovered: bool, with_snapshot: bool) -> Joined:
        """Where a client stands that joins now."""
        snapshot = self.fold.snapshot() if with_snapshot else UNSET
        return Joined(epoch=self.epoch, offset=self.offset, recovered=recovered, replayed=0, snapshot=snapshot)

    def snapshot_frame(self) -> bytes:
        """The frame of the message `snapshot`: the state right after everything sent so far."""
        if self._snapshot_frame is None:
            now = StreamSnapshot(stream=self.name, epoch=self.epoch, offset=self.offset, snapshot=self.fold.snapshot())
            self._snapshot_frame = text_frame(message("snapshot", now))
        return self._snapshot_frame

    def state(self) -> dict[str, Any]:
        """For `/status`: position, cursor, and what sounds now."""
        return {**msgspec.to_builtins(self.beat()), "snapshot": msgspec.to_builtins(self.fold.snapshot())}


def _send(interest: Interest, listeners: set[Listener], events: Sequence[Said], frames: list[bytes]) -> None:
    wanted: list[bytes] = []
    extras: dict[str, list[bytes]] = {}
    for said, frame in zip(events, frames):
        if not interest.wants(said.topic, said.envelope.type):
            continue
        if said.high_volume:
            extras.setdefault(said.topic, []).append(frame)
        else:
            wanted.append(frame)
    if wanted:
        joined = b"".join(wanted)
        for listener in tuple(listeners):
            listener.send(joined)
    for topic_, some in extras.items():
        joined = b"".join(some)
        for listener in tuple(listeners):
            listener.send_high_volume(topic_, len(some), joined)
