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

from streamseg.blocks import Block, Source, SourceItem
from streamseg.cli import terminal
from streamseg.engine import Segmenter
from streamseg.engine.boundaries.feedback import HISTORY_S
from streamseg.engine.models.weights import BoundaryModel
from streamseg.errors import StreamsegError, UsageError
from streamseg.live.feedback_store import FeedbackStore, StoredObservation
from streamseg.live.given_names import LabelNames
from streamseg.live.name_store import NameStore
from streamseg.server import StreamProgress
from streamseg.settings import Settings
from streamseg.wire.envelope import Envelope, EventSequencer
from streamseg.wire.events import AlarmAcknowledged, AlarmKind, Event, LabelNamed, StreamStarted
from streamseg.wire.messages import Verdict
from streamseg.wire.printable import make_printable

_FEEDBACK_DELAY_S = 12.0  # a mark is learned from when its change is this old
_MAX_CLOCK_LEAD_S = 2.0  # a page's clock may run ahead of the sound by this


def public_name(source: str) -> str:
    """What listeners are told of a source: a file's name without its folder, which is nobody's business."""
    if source == "-" or source == "mic" or source.startswith("mic:") or "://" in source:
        return source
    return PurePath(source).name or source


class _PendingMark(NamedTuple):
    """A listener's word, on its way to the hearing thread."""

    t: float
    verdict: Verdict


class Session:
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
        model: BoundaryModel | None = None,
        name_store: NameStore | None = None,
        feedback_store: FeedbackStore | None = None,
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
        self.position = StreamProgress(0.0, 0.0)
        self._telemetry = telemetry
        self._model = model
        self._name_store = name_store
        self._feedback_store = feedback_store
        self._incoming_marks: queue.SimpleQueue[_PendingMark] = queue.SimpleQueue()
        self._pending_marks: list[_PendingMark] = []  # marks of changes too young to be learned from
        self._sequencer = EventSequencer(stream, self.epoch, time.time)
        self._label_names = LabelNames(stream, name_store)
        self._segmenter: Segmenter | None = None
        self.is_stopped = False
        self._reset_requested = False
        self._requested_events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._engine_s = 0.0

    def __iter__(self) -> Iterator[list[Envelope]]:
        early: list[SourceItem] = []  # the engine is made for a rate, and only a block tells it
        try:
            for item in self.source:
                if self._segmenter is None:
                    early.append(item)
                    if not isinstance(item, Block):
                        continue
                    self._segmenter = self._make_segmenter(item.sample_rate)
                yield self._process_items(self._segmenter, early or [item])
                early = []
                if self._reset_requested:
                    yield self._finish("reset")
                    self._start_epoch(self._segmenter.sample_rate)
        except StreamsegError as failure:
            self.failure = failure
        yield self._finish("failed" if self.failure else "stopped" if self.is_stopped else "end")

    def _make_segmenter(self, sample_rate: int) -> Segmenter:
        return Segmenter(
            self.settings,
            sample_rate=sample_rate,
            source=make_printable(public_name(self.source.name)),  # a name that is no UTF-8 is no JSON either
            telemetry=self._telemetry,
            model=self._model,
            named_sounds=self._name_store.load_named_sounds() if self._name_store else None,
            feedback=self._feedback_store.fit_model(self.settings.profile) if self._feedback_store else None,
        )

    def _start_epoch(self, sample_rate: int) -> None:
        self._reset_requested = False
        self.settings = self._next_settings
        self.epoch = str(ULID())
        self._sequencer = EventSequencer(self.stream, self.epoch, time.time)
        self._label_names = LabelNames(self.stream, self._name_store)
        self._segmenter = self._make_segmenter(sample_rate)

    def _process_items(self, segmenter: Segmenter, items: list[SourceItem]) -> list[Envelope]:
        events: list[Event] = []
        captured_at = None
        began = time.perf_counter()
        for item in items:
            events += segmenter.push_item(item)
            if isinstance(item, Block):
                captured_at = item.captured_at
        self._engine_s += time.perf_counter() - began
        if len(items) > 1:  # a title may come before the first sample, but a run begins with its start
            events.sort(key=lambda event: not isinstance(event.data, StreamStarted))
        self._update_position(segmenter, captured_at)
        self._store_feedback(segmenter, segmenter.t - _FEEDBACK_DELAY_S)
        return self._stamp(segmenter, [*events, *self._take_requested_events()])

    def _finish(self, reason: str) -> list[Envelope]:
        if self._segmenter is None:
            return []
        events = [*self._take_requested_events(), *self._segmenter.finish(reason)]
        self._update_position(self._segmenter, None)
        self._store_feedback(self._segmenter, self._segmenter.t)
        return self._stamp(self._segmenter, events)

    def _stamp(self, segmenter: Segmenter, events: list[Event]) -> list[Envelope]:
        self._label_names.store_names(events, segmenter)
        return self._sequencer.stamp_events(events)

    def _update_position(self, segmenter: Segmenter, captured_at: float | None) -> None:
        self.position = StreamProgress(
            t=segmenter.t,
            watermark=segmenter.watermark,
            lag_s=0.0 if captured_at is None else max(0.0, time.time() - captured_at),
            dropped_samples=self.source.dropped_samples,
            engine_s=self._engine_s,
        )

    def _store_feedback(self, segmenter: Segmenter, until_t: float) -> None:
        """Keep what was marked at or before until_t, for the epochs to come."""
        with suppress(queue.Empty):
            while True:
                self._pending_marks.append(self._incoming_marks.get_nowait())
        settled = [mark for mark in self._pending_marks if mark.t <= until_t]
        if not settled:
            return
        self._pending_marks = [mark for mark in self._pending_marks if mark.t > until_t]
        for t, verdict in settled:
            told = segmenter.find_candidate(t, verdict)
            if told is None or self._feedback_store is None:
                continue
            right = verdict != "reject"
            mark = StoredObservation(
                distances=told.distances, log_odds=told.log_odds, is_boundary=right, epoch=self.epoch, t=t
            )
            try:
                self._feedback_store.add_observation(self.settings.profile, mark)
            except StreamsegError as failure:  # the sound matters more than the lesson
                terminal.stderr.print(f"streamseg: {self.stream}: {failure}")

    def _take_requested_events(self) -> Iterator[Event]:
        with suppress(queue.Empty):
            while True:
                yield self._requested_events.get_nowait()

    # What the server's clients may ask (`streamseg.server.Controls`).

    def finish(self) -> None:
        """Say everything pending, then stop."""
        self.is_stopped = True
        self.source.close()

    def reset(self) -> None:
        """Say everything pending, then begin a new epoch over the same source."""
        self._reset_requested = True

    def mark_boundary(self, t: float, verdict: Verdict) -> None:
        """Learn from a listener's word on the boundary at `t`; in force from the next epoch."""
        if self._feedback_store is None:
            raise UsageError(f"{self.stream} does not learn: it is played without lessons")
        if not self.position.t - HISTORY_S <= t <= self.position.t + _MAX_CLOCK_LEAD_S:
            raise UsageError(
                f"nothing to learn at {t:.1f} s: {self.stream} is at {self.position.t:.1f} s "
                f"and remembers {HISTORY_S:.0f} s"
            )
        self._incoming_marks.put(_PendingMark(t, verdict))

    def name_label(self, label: str, name: str, by: str) -> None:
        """Give a label a name: said at once, heard by the engine from the next epoch on."""
        self.publish_event(Event(label, LabelNamed(label=label, name=name, by=by)))

    def acknowledge_alarm(self, alarm: AlarmKind, by: str) -> None:
        """Take notice of an alarm."""
        self.publish_event(Event(alarm, AlarmAcknowledged(alarm=alarm, by=by)))

    def set_sensitivity(self, sensitivity: float) -> None:
        """Report more or fewer changes (0 to 1) from the next epoch on; `reset` begins one."""
        self._next_settings = msgspec.structs.replace(self._next_settings, sensitivity=sensitivity)

    def publish_event(self, event: Event) -> None:
        """Stamp this event in order with the stream's own."""
        self._requested_events.put(event)
