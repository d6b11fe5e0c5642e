"""One stream being heard: a source's items through the engine, out as stamped envelopes.

The same for `analyze`, which simply loops over it, and for the live commands, whose workers do.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath
from typing import NamedTuple

import msgspec
from ulid import ULID

from streamseg.blocks import Block, Item, Source
from streamseg.cli import terminal
from streamseg.cli.lessonbook import Kept, Lessonbook
from streamseg.cli.naming import Naming
from streamseg.engine import Segmenter
from streamseg.engine.lessons import REMEMBERED_S, Verdict
from streamseg.envelope import Envelope, Sequencer
from streamseg.errors import AskedWrongly, StreamsegError
from streamseg.events import AlarmAcknowledged, AlarmKind, Event, LabelNamed, StreamStarted
from streamseg.printable import printable
from streamseg.server import Position
from streamseg.server.remembering import MemoryFile
from streamseg.settings import Settings
from streamseg.weights import ChangeModel

_SETTLED_S = 12.0  # a mark is learned from when its change is this old
_EARLY_S = 2.0  # a page's clock may run ahead of the sound by this


def public_name(source: str) -> str:
    """What listeners are told of a source: a file's name without its folder, which is nobody's business."""
    if source == "-" or source == "mic" or source.startswith("mic:") or "://" in source:
        return source
    return PurePath(source).name or source


class _Marked(NamedTuple):
    """A listener's word, on its way to the hearing thread."""

    t: float
    verdict: Verdict


class Hearing:
    """Iterated once, in one thread, it gives what is said, as it is said, to the last word.

    A source that fails ends it like any other end; `failure` then holds why. The other methods may be called
    from any thread: they take note, and the hearing thread acts at the next block.
    """

    def __init__(
        self,
        stream: str,
        source: Source,
        settings: Settings,
        *,
        telemetry: bool = False,
        model: ChangeModel | None = None,
        memory: MemoryFile | None = None,
        lessons: Lessonbook | None = None,
    ) -> None:
        """stream: its name. telemetry: also say `meter` and `novelty`. model: judges changes instead of the shipped.

        memory: where named sounds are kept. lessons: what listeners taught, and where marks go.
        """
        self.stream = stream
        self.source = source
        self.settings = settings
        self._next_settings = settings  # in force from the next epoch
        self.failure: StreamsegError | None = None
        self.epoch = str(ULID())
        self.position = Position(0.0, 0.0)
        self._telemetry = telemetry
        self._model = model
        self._memory = memory
        self._lessons = lessons
        self._marked: queue.SimpleQueue[_Marked] = queue.SimpleQueue()
        self._young: list[_Marked] = []  # marks of changes too young to be learned from
        self._sequencer = Sequencer(stream, self.epoch, time.time)
        self._naming = Naming(stream, memory)
        self._segmenter: Segmenter | None = None
        self.stopped = False
        self._reset_asked = False
        self._to_say: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._engine_s = 0.0

    def __iter__(self) -> Iterator[list[Envelope]]:
        early: list[Item] = []  # the engine is made for a rate, and only a block tells it
        try:
            for item in self.source:
                if self._segmenter is None:
                    early.append(item)
                    if not isinstance(item, Block):
                        continue
                    self._segmenter = self._engine(item.sample_rate)
                yield self._hear(self._segmenter, early or [item])
                early = []
                if self._reset_asked:
                    yield self._finish("reset")
                    self._begin_epoch(self._segmenter.sample_rate)
        except StreamsegError as failure:
            self.failure = failure
        yield self._finish("failed" if self.failure else "stopped" if self.stopped else "end")

    def _engine(self, sample_rate: int) -> Segmenter:
        return Segmenter(
            self.settings,
            sample_rate=sample_rate,
            source=printable(public_name(self.source.name)),  # a name that is no UTF-8 is no JSON either
            telemetry=self._telemetry,
            model=self._model,
            memory=self._memory.memory() if self._memory else None,
            taught=self._lessons.taught(self.settings.profile) if self._lessons else None,
        )

    def _begin_epoch(self, sample_rate: int) -> None:
        self._reset_asked = False
        self.settings = self._next_settings
        self.epoch = str(ULID())
        self._sequencer = Sequencer(self.stream, self.epoch, time.time)
        self._naming = Naming(self.stream, self._memory)
        self._segmenter = self._engine(sample_rate)

    def _hear(self, segmenter: Segmenter, items: list[Item]) -> list[Envelope]:
        events: list[Event] = []
        captured_at = None
        began = time.perf_counter()
        for item in items:
            events += segmenter.feed(item)
            if isinstance(item, Block):
                captured_at = item.captured_at
        self._engine_s += time.perf_counter() - began
        if len(items) > 1:  # a title may come before the first sample, but a run begins with its start
            events.sort(key=lambda event: not isinstance(event.data, StreamStarted))
        self._look(segmenter, captured_at)
        self._learn(segmenter, segmenter.t - _SETTLED_S)
        return self._say(segmenter, [*events, *self._asked()])

    def _finish(self, reason: str) -> list[Envelope]:
        if self._segmenter is None:
            return []
        events = [*self._asked(), *self._segmenter.finish(reason)]
        self._look(self._segmenter, None)
        self._learn(self._segmenter, self._segmenter.t)
        return self._say(self._segmenter, events)

    def _say(self, segmenter: Segmenter, events: list[Event]) -> list[Envelope]:
        self._naming.take(events, segmenter)
        return self._sequencer.stamp(events)

    def _look(self, segmenter: Segmenter, captured_at: float | None) -> None:
        self.position = Position(
            t=segmenter.t,
            watermark=segmenter.watermark,
            lag_s=0.0 if captured_at is None else max(0.0, time.time() - captured_at),
            dropped_samples=self.source.dropped_samples,
            engine_s=self._engine_s,
        )

    def _learn(self, segmenter: Segmenter, until_t: float) -> None:
        """Keep what was marked at or before until_t, for the epochs to come."""
        with suppress(queue.Empty):
            while True:
                self._young.append(self._marked.get_nowait())
        settled = [mark for mark in self._young if mark.t <= until_t]
        if not settled:
            return
        self._young = [mark for mark in self._young if mark.t > until_t]
        for t, verdict in settled:
            told = segmenter.recall(t, verdict)
            if told is None or self._lessons is None:
                continue
            right = verdict != "reject"
            mark = Kept(moved=told.moved, log_odds=told.log_odds, right=right, epoch=self.epoch, t=t)
            try:
                self._lessons.note(self.settings.profile, mark)
            except StreamsegError as failure:  # the sound matters more than the lesson
                terminal.err.print(f"streamseg: {self.stream}: {failure}")

    def _asked(self) -> Iterator[Event]:
        with suppress(queue.Empty):
            while True:
                yield self._to_say.get_nowait()

    # What the server's clients may ask (`streamseg.server.Controls`).

    def finish(self) -> None:
        """Say everything pending, then stop."""
        self.stopped = True
        self.source.close()

    def reset(self) -> None:
        """Say everything pending, then begin a new epoch over the same source."""
        self._reset_asked = True

    def mark(self, t: float, verdict: Verdict) -> None:
        """Learn from a listener's word on the boundary at `t`; in force from the next epoch."""
        if self._lessons is None:
            raise AskedWrongly(f"{self.stream} does not learn: it is played without lessons")
        if not self.position.t - REMEMBERED_S <= t <= self.position.t + _EARLY_S:
            raise AskedWrongly(
                f"nothing to learn at {t:.1f} s: {self.stream} is at {self.position.t:.1f} s "
                f"and remembers {REMEMBERED_S:.0f} s"
            )
        self._marked.put(_Marked(t, verdict))

    def name(self, label: str, name: str, by: str) -> None:
        """Give a label a name: said at once, heard by the engine from the next epoch on."""
        self.say(Event(label, LabelNamed(label=label, name=name, by=by)))

    def acknowledge(self, alarm: AlarmKind, by: str) -> None:
        """Take notice of an alarm."""
        self.say(Event(alarm, AlarmAcknowledged(alarm=alarm, by=by)))

    def set_sensitivity(self, sensitivity: float) -> None:
        """Report more or fewer changes (0 to 1) from the next epoch on; `reset` begins one."""
        self._next_settings = msgspec.structs.replace(self._next_settings, sensitivity=sensitivity)

    def say(self, event: Event) -> None:
        """Stamp this event in order with the stream's own."""
        self._to_say.put(event)
