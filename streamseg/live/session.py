"""Runs the engine on one source, and yields its events with stream, epoch, offset and time (envelopes).

The command `analyze` iterates a session itself; for live sources `Supervisor` iterates each session in a thread.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath
from typing import NamedTuple

import msgspec
from ulid import ULID

from streamseg.blocks import Block, Source, SourceItem
from streamseg.engine import Segmenter
from streamseg.engine.boundaries.feedback import HISTORY_S
from streamseg.engine.models.weights import BoundaryModel
from streamseg.errors import StreamsegError, UsageError
from streamseg.live.feedback_store import FeedbackStore, StoredObservation
from streamseg.live.label_name_recorder import LabelNameRecorder
from streamseg.live.name_store import NameStore
from streamseg.settings import Settings
from streamseg.wire.envelope import Envelope, EventSequencer
from streamseg.wire.events import AlarmAcknowledged, AlarmKind, Event, LabelNamed, StreamStarted
from streamseg.wire.messages import Verdict
from streamseg.wire.printable import make_printable
from streamseg.wire.progress import StreamProgress

_FEEDBACK_DELAY_S = 12.0  # a mark is stored when the stream is this far past it: its candidate is complete then
_MAX_CLOCK_LEAD_S = 2.0  # the clock of a page may be ahead of the stream by this

log = logging.getLogger(__name__)


def public_source_name(source: str) -> str:
    """Return the name of a source that clients may see: for a file the name without its folder, which is private."""
    if source == "-" or source == "mic" or source.startswith("mic:") or "://" in source:
        return source
    return PurePath(source).name or source


class _Mark(NamedTuple):
    """A client's mark of the boundary at stream time `t` (seconds); the session's thread processes it later."""

    t: float
    verdict: Verdict


class Session:
    """Runs the engine on one source; iterating the session yields, for each block of sound, the list of new events.

    Iterate it once, in one thread, to the end. The events are envelopes; a list is empty when a block gave none. When
    the source fails, the iteration ends without an exception, and `failure` is the error. The methods below (`finish`,
    `request_new_epoch`, `name_label` …) may be called from any thread; they take effect at the next block. They are
    those of `streamseg.wire.controls.StreamControls`, which a server's `Hub.add_stream` takes.

    Attributes
    ----------
    stream: name of the stream.
    source: as passed. settings: those of the current epoch.
    epoch: the id of the current run over the source, a ULID.
    progress: how far the stream has been processed.
    failure: the error of the source; None while there is none.
    is_stopped: whether `finish` was called.
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
        """Store the parameters; the source is opened when the iteration begins.

        stream: the name of the stream. telemetry: emit `meter` and `novelty` events too. model: the boundary
        classifier; None is the shipped one of the profile. name_store: the named sounds to recognise, and where new
        label names are stored; with None no sound is recognised by name. feedback_store: the marks to learn from, and
        where new marks are stored; with None marks are refused.
        """
        self.stream = stream
        self.source = source
        self.settings = settings
        self._next_settings = settings  # used from the next epoch on
        self.failure: StreamsegError | None = None
        self.epoch = str(ULID())
        self.progress = StreamProgress(0.0, 0.0)
        self._telemetry = telemetry
        self._model = model
        self._name_store = name_store
        self._feedback_store = feedback_store
        self._incoming_marks: queue.SimpleQueue[_Mark] = queue.SimpleQueue()
        self._pending_marks: list[_Mark] = []  # too recent to be stored
        self._sequencer = EventSequencer(stream, self.epoch, time.time)
        self._label_names = LabelNameRecorder(stream, name_store)
        self._segmenter: Segmenter | None = None
        self.is_stopped = False
        self._reset_requested = False
        self._requested_events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._engine_s = 0.0

    def __iter__(self) -> Iterator[list[Envelope]]:
        early_items: list[SourceItem] = []  # before the first block, which has the sample rate the engine needs
        try:
            for item in self.source:
                if self._segmenter is None:
                    early_items.append(item)
                    if not isinstance(item, Block):
                        continue
                    self._segmenter = self._make_segmenter(item.sample_rate)
                yield self._process_items(self._segmenter, early_items or [item])
                early_items = []
                if self._reset_requested:
                    yield self._finish_epoch("reset")
                    self._start_epoch(self._segmenter.sample_rate)
        except StreamsegError as error:
            self.failure = error
        yield self._finish_epoch("failed" if self.failure else "stopped" if self.is_stopped else "end")

    def _make_segmenter(self, sample_rate: int) -> Segmenter:
        return Segmenter(
            self.settings,
            sample_rate=sample_rate,
            source=make_printable(
                public_source_name(self.source.name)
            ),  # JSON cannot hold a file name that is not UTF-8
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
        self._label_names = LabelNameRecorder(self.stream, self._name_store)
        self._segmenter = self._make_segmenter(sample_rate)

    def _process_items(self, segmenter: Segmenter, items: list[SourceItem]) -> list[Envelope]:
        events: list[Event] = []
        captured_at = None
        start = time.perf_counter()
        for item in items:
            events += segmenter.push_item(item)
            if isinstance(item, Block):
                captured_at = item.captured_at
        self._engine_s += time.perf_counter() - start
        if len(items) > 1:  # a title may come before the first sample, but `stream.started` is the first event
            events.sort(key=lambda event: not isinstance(event.data, StreamStarted))
        self._update_progress(segmenter, captured_at)
        self._store_marks(segmenter, segmenter.t - _FEEDBACK_DELAY_S)
        return self._stamp_events(segmenter, [*events, *self._take_requested_events()])

    def _finish_epoch(self, reason: str) -> list[Envelope]:
        if self._segmenter is None:
            return []
        events = [*self._take_requested_events(), *self._segmenter.finish(reason)]
        self._update_progress(self._segmenter, None)
        self._store_marks(self._segmenter, self._segmenter.t)
        return self._stamp_events(self._segmenter, events)

    def _stamp_events(self, segmenter: Segmenter, events: list[Event]) -> list[Envelope]:
        self._label_names.store_names_and_sounds(events, segmenter)
        return self._sequencer.stamp_events(events)

    def _update_progress(self, segmenter: Segmenter, captured_at: float | None) -> None:
        self.progress = StreamProgress(
            t=segmenter.t,
            watermark=segmenter.watermark,
            lag_s=0.0 if captured_at is None else max(0.0, time.time() - captured_at),
            dropped_samples=self.source.dropped_samples,
            engine_s=self._engine_s,
        )

    def _store_marks(self, segmenter: Segmenter, until_t: float) -> None:
        """Store the marks at or before `until_t` (stream seconds) as observations for later epochs."""
        with suppress(queue.Empty):
            while True:
                self._pending_marks.append(self._incoming_marks.get_nowait())
        due_marks = [mark for mark in self._pending_marks if mark.t <= until_t]
        if not due_marks:
            return
        self._pending_marks = [mark for mark in self._pending_marks if mark.t > until_t]
        for t, verdict in due_marks:
            candidate = segmenter.find_marked_candidate(t, verdict)
            if candidate is None or self._feedback_store is None:
                continue
            observation = StoredObservation(
                distances=candidate.distances,
                log_odds=candidate.log_odds,
                is_boundary=verdict != "reject",
                epoch=self.epoch,
                t=t,
            )
            try:
                self._feedback_store.add_observation(self.settings.profile, observation)
            except StreamsegError as error:  # the stream goes on without it
                log.warning("%s: the mark at %.1f s is not stored: %s", self.stream, t, error)

    def _take_requested_events(self) -> Iterator[Event]:
        with suppress(queue.Empty):
            while True:
                yield self._requested_events.get_nowait()

    # What clients and the history may request (`streamseg.wire.controls.StreamControls`), from any thread.

    def finish(self) -> None:
        """Close the source; the iteration then processes the delivered sound, yields all pending events, and ends."""
        self.is_stopped = True
        self.source.close()

    def request_new_epoch(self) -> None:
        """After the next block, emit all pending events, then start the engine anew on the same source: a new epoch."""
        self._reset_requested = True

    def mark_boundary(self, t: float, verdict: Verdict) -> None:
        """Store a client's mark of a boundary at `t` (stream seconds); the engine uses it from the next epoch on.

        verdict: `confirm` (the boundary is right), `reject` (it is wrong) or `boundary` (one is missing here). Raises
        UsageError without a feedback store, or when `t` is too far in the past or in the future.
        """
        if self._feedback_store is None:
            raise UsageError(f"{self.stream} does not learn: it is played without lessons")
        if not self.progress.t - HISTORY_S <= t <= self.progress.t + _MAX_CLOCK_LEAD_S:
            raise UsageError(
                f"nothing to learn at {t:.1f} s: {self.stream} is at {self.progress.t:.1f} s "
                f"and remembers {HISTORY_S:.0f} s"
            )
        self._incoming_marks.put(_Mark(t, verdict))

    def name_label(self, label: str, name: str, by: str) -> None:
        """Emit `label.named` and store the name; from the next epoch (run) on, the engine recognises the sound by it.

        Without a name store the name is not stored, and holds for this epoch only.

        by: who gave the name, such as the name of the client.
        """
        self.publish_event(Event(label, LabelNamed(label=label, name=name, by=by)))

    def acknowledge_alarm(self, alarm: AlarmKind, by: str) -> None:
        """Emit `alarm.acknowledged` for an alarm. by: who acknowledged it, such as the name of the client."""
        self.publish_event(Event(alarm, AlarmAcknowledged(alarm=alarm, by=by)))

    def set_next_epoch_sensitivity(self, sensitivity: float) -> None:
        """Set the sensitivity from the next epoch (run) on: 0 reports the fewest boundaries, 1 the most.

        `request_new_epoch` starts the next epoch.
        """
        self._next_settings = msgspec.structs.replace(self._next_settings, sensitivity=sensitivity)

    def publish_event(self, event: Event) -> None:
        """Queue an event for the stream; the iteration yields it with the events of the next block."""
        self._requested_events.put(event)
