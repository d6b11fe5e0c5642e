"""The segmenter runs all stages of the engine: samples in, events out. The order of the stages is the algorithm.

    samples ─┬▶ loudness of all channels at the source's rate ─▶ alarms
             └▶ resampling ─▶ feature frames ─┬▶ sound class, jingles
                                              └▶ texture vectors ─▶ boundaries ─▶ sections and labels

It is pure: it uses no clock, thread, file, socket or log. The same samples and gaps give the same events, whatever the
sizes of the blocks. The whole state can be pickled; only the version that wrote a pickle can read it.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamseg import __version__
from streamseg.blocks import Block, Gap, GapCause, Samples, SourceItem
from streamseg.engine.alarms import AlarmDetector
from streamseg.engine.boundaries.detector import BoundaryDetector
from streamseg.engine.boundaries.feedback import CandidateObservation, FeedbackModel
from streamseg.engine.features.front_end import FramesUpToTextureVector, FrontEnd
from streamseg.engine.fingerprints.jingle_boundaries import JingleStartDetector
from streamseg.engine.input_buffer import InputBuffer
from streamseg.engine.labels.labeller import RELABEL_WINDOW_S
from streamseg.engine.meter import StreamMeter
from streamseg.engine.models.loader import load_boundary_model, load_label_model
from streamseg.engine.models.weights import BoundaryModel, LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.engine.sections.report import SectionReportBuilder
from streamseg.engine.sound_class.classifier import SoundClassifier
from streamseg.engine.stream_events import (
    StreamConfiguration,
    make_source_event,
    make_stream_gap,
    make_stream_started,
    make_stream_stopped,
)
from streamseg.engine.timeline import Timeline
from streamseg.errors import UsageError
from streamseg.settings import ENGINE_RATE, Settings, make_settings
from streamseg.wire.events import Event
from streamseg.wire.messages import Verdict

_LONG_GAP_S = 2.0  # a longer gap ends the section
_REFINEMENT_S = 3.0  # the exact time of a boundary, and the block that is processed, lie within this of its step
_REPORT_MARGIN_S = 15.0  # sections start up to this much before the oldest step that the detector still has


class Segmenter:
    """Finds boundaries and sections in one stream: `push` takes samples, `finish` ends it, and both return events."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        sample_rate: int = ENGINE_RATE,
        source: str = "",
        telemetry: bool = False,
        model: BoundaryModel | None = None,
        label_model: LabelModel | None = None,
        named_sounds: NamedSounds | None = None,
        feedback: FeedbackModel | None = None,
    ) -> None:
        """Prepare for a stream of `sample_rate` Hz.

        settings: those of the profile `music` by default. source: its name in `stream.started`. telemetry: also return
        `meter` and `novelty` events. model, label_model: of the boundary classifier, and of the similarity of sections;
        those shipped for the profile by default. named_sounds: sections and jingles of earlier runs to recognise.
        feedback: what was learned from listeners' marks; None leaves the classifier as it is.
        """
        self.settings = settings = settings or make_settings("music")
        model = model or load_boundary_model(settings.profile)
        label_model = label_model or load_label_model(settings.profile)
        named_sounds = named_sounds or NamedSounds()
        self._configuration = StreamConfiguration(
            source, sample_rate, settings, model, label_model, named_sounds, feedback
        )
        self._input = InputBuffer(sample_rate)
        self._timeline = Timeline(sample_rate)
        self._alarms = AlarmDetector(settings)
        self._sound_class = SoundClassifier(settings)
        self._jingles = JingleStartDetector(named_sounds)
        self._boundaries = BoundaryDetector(
            settings, model, self._timeline, feedback, self._jingles.min_confirmation_delay_s
        )
        lookback_s = self._boundaries.lookback_s
        self._report_builder = SectionReportBuilder(lookback_s + _REPORT_MARGIN_S, self._sound_class.durations)
        self._sections = SectionTracker(
            settings, lookback_s, label_model, named_sounds, self._report_builder.close_section
        )
        self._meter = StreamMeter(self._timeline, self._report_builder) if telemetry else None
        self._start_stretch(0.0)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if (version := state.pop("version", "an unknown version")) != __version__:
            raise UsageError(f"this Segmenter was pickled by streamseg {version}; {__version__} cannot read it")
        self.__dict__.update(state)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the source, Hz."""
        return self._timeline.sample_rate

    @property
    def t(self) -> float:
        """Stream time after the last sample pushed, seconds."""
        return (self._timeline.position_samples + len(self._input)) / self.sample_rate

    @property
    def watermark(self) -> float:
        """Stream time, in seconds, before which no boundary and no label can change any more."""
        reach_s = max(self._boundaries.lookback_s + _REFINEMENT_S, RELABEL_WINDOW_S)
        return max(0.0, self._timeline.position_samples / self.sample_rate - reach_s)

    def push_item(self, item: SourceItem) -> list[Event]:
        """Process an item of a source (block, gap, title, loss or return of the source); return the new events."""
        if isinstance(item, Block):
            if item.sample_rate != self.sample_rate:
                raise UsageError(f"a block of {item.sample_rate} Hz in a stream of {self.sample_rate} Hz")
            return self.push(item.samples)
        if isinstance(item, Gap):
            return self.push_gap(item.missing_samples, item.cause)
        return [*self._process_buffered(), make_source_event(item, self._timeline.now)]

    def push(self, samples: Samples | NDArray[np.floating]) -> list[Event]:
        """Process the next samples of the stream and return the resulting events.

        samples: float, full scale ±1, shape (n,) or (n, channels); neither kept nor written. Arrays shorter than 5 ms
        are copied and processed together, so their events are returned up to 5 ms later.
        Raises UsageError for another shape, for a change of channels, or after `finish`.
        """
        if self._input.add_if_same_shape(samples):
            return []
        is_first = not self._input.channels
        blocks = self._input.push(samples)
        events = (
            [make_stream_started(self._configuration, self._input.channels)]
            if is_first and self._input.channels
            else []
        )
        for block in blocks:
            events += self._process_block(block)
        return events

    def push_gap(self, missing_samples: int, cause: GapCause) -> list[Event]:
        """Record a gap of lost samples and return the resulting events; a gap of more than 2 s also ends the section.

        missing_samples: per channel, at the source's rate; stream time advances by them. If it is 0 or less, nothing
        happens.
        """
        if missing_samples <= 0:
            return []
        missing_s = missing_samples / self.sample_rate
        is_long = missing_s > _LONG_GAP_S
        events = self._drain()
        gap = make_stream_gap(self._timeline.now, missing_s, cause)
        if is_long and self._input.channels:
            events += self._close_section("gap")
        self._timeline.push_gap(missing_samples)
        if is_long:
            self._boundaries.restart()
            self._sections.start_section(self._timeline.now)
        self._start_stretch(self._timeline.start_stretch(restart_steps=is_long))
        return [*events, gap]

    def finish(self, reason: str = "end") -> list[Event]:
        """Decide the pending boundaries, close the last section, and return these events and, last, `stream.stopped`.

        reason: text for `stream.stopped`. Afterwards `push` raises UsageError, and `finish` returns no events.
        """
        if self._input.is_closed:
            return []
        events = self._drain()
        self._input.close()
        if not self._input.channels:
            return events
        events += self._close_section("end")
        return [*events, make_stream_stopped(self._timeline, self._sections.boundaries_confirmed, reason)]

    def find_marked_candidate(self, t: float, verdict: Verdict) -> CandidateObservation | None:
        """Return the likeliest boundary candidate near `t`, the time that a listener marked; None if none is near.

        t: stream seconds. verdict: of the listener; it determines how many seconds around t are searched. There is no
        candidate over 10 minutes ago, before a long gap, or at the very newest step.
        """
        return self._boundaries.find_marked_candidate(t, verdict)

    def descriptor_of_label(self, label: str) -> bytes | None:
        """Return the descriptor of the newest section with this label, for `NamedSound.content`; None if unknown."""
        return self._sections.descriptor_of_label(label)

    def earlier_name_of_label(self, label: str) -> str | None:
        """Return the name that a person gave this label in an earlier run; None if the label has no name."""
        return self._sections.name_of_label(label)

    def _process_block(self, block: Samples) -> list[Event]:
        """Process samples of the source, shape (n, channels)."""
        self._timeline.push_samples(len(block))
        loudness = self._front_end.measure_loudness(block)
        self._alarms.push_loudness(loudness)
        self._report_builder.push_loudness(loudness)
        return self._process_spans(self._front_end.push(block))

    def _process_spans(self, spans: list[FramesUpToTextureVector]) -> list[Event]:
        events: list[Event] = []
        for frames, vector in spans:
            events += self._process_frames(frames)
            if vector is not None:
                events += self._process_vector(vector)
        return events

    def _process_frames(self, frames: NDArray[np.float64]) -> list[Event]:
        first = self._timeline.push_frames(len(frames))
        self._boundaries.store_frames(frames)
        self._jingles.push(frames)
        self._report_builder.push_frames(frames)
        events = [(change.decided_t, Event("sound", change)) for change in self._sound_class.push(frames)]
        if self._meter:
            events += [
                (meter.t, Event("meter", meter)) for meter in self._meter.measure_every_fifth_frame(first, frames)
            ]
        return [event for _, event in sorted(events, key=lambda each: each[0])]  # the order of single frames

    def _process_vector(self, vector: NDArray[np.float64]) -> list[Event]:
        self._timeline.push_step()
        events = self._alarms.take_events_until(self._timeline.decision_time)
        events += self._sections.push(vector)
        for decision in self._boundaries.push(vector):
            events += self._sections.apply_decision(*decision)
        for jingle in self._jingles.take_detections():
            for decision in self._boundaries.confirm_boundary_at_jingle(jingle.t, jingle.probability, jingle.name):
                events += self._sections.apply_decision(*decision)
            events += self._sections.name_section_by_jingle(jingle.name, jingle.t)
        if self._meter:
            self._meter.update_musical_key()
            events.append(Event("novelty", self._sections.make_novelty_event(self._timeline.decision_time)))
        return events

    def _process_buffered(self) -> list[Event]:
        return [event for block in self._input.take_all() for event in self._process_block(block)]

    def _drain(self) -> list[Event]:
        """Process what waits in buffers, at the end of a stretch."""
        events = self._process_buffered() + self._process_spans(self._front_end.flush())
        return events + self._alarms.take_events_until(math.inf)

    def _close_section(self, ended_by: Literal["gap", "end"]) -> list[Event]:
        """Decide all pending boundaries and close the current section."""
        events, at_end = list[Event](), ended_by == "end"
        for decision in self._boundaries.decide_all_pending_at_end():
            events += self._sections.apply_decision(*decision, at_end=at_end)
        return events + self._sections.close_section(self._timeline.now, ended_by, at_end=at_end)

    def _start_stretch(self, start: float) -> None:
        """Start the stages that process frames again, at stream time `start`: no frame reaches across a gap."""
        self._front_end = FrontEnd(self.sample_rate)
        self._alarms.continue_after_gap(start)
        self._sound_class.continue_after_gap(start)
        self._jingles.continue_after_gap(start)
        self._boundaries.forget_frames_before_gap()
        self._report_builder.continue_after_gap(start)
