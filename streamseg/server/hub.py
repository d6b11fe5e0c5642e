"""Where events come in once and go out to everybody.

The hub lives on the event loop. Whoever feeds a stream calls `publish` there (a worker thread by
`loop.call_soon_threadsafe`) and never waits: clients cannot hold up the sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamseg.envelope import Envelope
from streamseg.errors import AskedWrongly
from streamseg.server import messages as m
from streamseg.server.interest import Interest
from streamseg.server.stream import Controls, Listener, Position, Stream, say
from streamseg.settings import ServerSettings


class Hub:
    """All streams of one server, and who listens to them."""

    def __init__(self, settings: ServerSettings | None = None) -> None:
        self.settings = settings or ServerSettings()
        self.streams: dict[str, Stream] = {}
        self._listening: dict[Listener, frozenset[str]] = {}

    def add_stream(self, name: str, epoch: str, controls: Controls | None = None) -> None:
        """Announce a stream, before its first event; again with a new epoch when it runs anew."""
        known = self.streams.get(name)
        if known is None:
            self.streams[name] = Stream(name, epoch, controls)
        else:
            known.begin(epoch, controls)

    def publish(self, stream: str, envelopes: Iterable[Envelope], position: Position) -> None:
        """Events of one stream in order, and how far it was heard when they were said."""
        self.streams[stream].deliver([say(envelope) for envelope in envelopes], position)

    def close_stream(self, name: str) -> None:
        """Nobody feeds the stream any more; what it said can still be asked for."""
        self.streams[name].controls = None

    async def join(
        self, listener: Listener, interest: Interest, names: Iterable[str], resume: Mapping[str, m.Cursor]
    ) -> dict[str, m.Joined]:
        """Let a client hear these streams from here on."""
        joined = {}
        for name in names:
            stream = self.streams[name]
            cursor = resume.get(name)
            recovered = cursor is not None and (cursor.epoch, cursor.offset) == stream.head
            joined[name] = stream.joined(recovered=recovered, replayed=0)
            stream.listen(listener, interest)
        self._listening[listener] = frozenset(joined)
        return joined

    def change(self, listener: Listener, before: Interest, after: Interest) -> None:
        """The client wants to hear something else from here on."""
        for name in self._listening.get(listener, ()):
            self.streams[name].leave(listener, before)
            self.streams[name].listen(listener, after)

    def leave(self, listener: Listener, interest: Interest) -> None:
        """The client is gone."""
        for name in self._listening.pop(listener, frozenset()):
            self.streams[name].leave(listener, interest)

    def beat(self) -> None:
        """Tell every listener how far its streams are."""
        frames: dict[frozenset[str], bytes] = {}
        for listener, names in list(self._listening.items()):
            if names not in frames:
                beats = {name: self.streams[name].beat() for name in sorted(names)}
                frames[names] = m.text_frame(m.message("heartbeat", m.Heartbeat(beats)))
            listener.send(frames[names])

    def control(self, request: m.Control, by: str) -> None:
        """Hand a control request to whoever feeds the stream. Raises AskedWrongly when nobody does."""
        stream = self.streams.get(request.stream)
        if stream is None or stream.controls is None:
            raise AskedWrongly(f"stream {request.stream!r} takes no requests; it is not being fed")
        match request:
            case m.Finish():
                stream.controls.finish()
            case m.Reset():
                stream.controls.reset()
            case m.Mark(t=t, verdict=verdict):
                stream.controls.mark(t, verdict)
            case m.Name(label=label, name=name):
                stream.controls.name(label, name, by)
            case m.Acknowledge(alarm=alarm):
                stream.controls.acknowledge(alarm, by)
