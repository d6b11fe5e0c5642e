"""The segmenter: samples in, events out. The order of the stages below *is* the algorithm.

Pure: no clock, thread, file, socket or log. The same samples and gaps give the same events however they are cut
into blocks, and its whole state pickles.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamseg.blocks import Block, Gap, GapCause, Samples, SourceAway, SourceItem, Title
from streamseg.engine.alarms import AlarmDetector
from streamseg.engine.block_gathering import BlockGathering, as_block
from streamseg.engine.boundaries.classifier import BoundaryClassifier
from streamseg.engine.boundaries.feedback import (
    MARK_TOLERANCE_S,
    CandidateObservation,
    FeedbackCorrection,
    FeedbackModel,
    Verdict,
)
from streamseg.engine.boundaries.refinement import BoundaryRefiner
from streamseg.engine.boundaries.sensitivity import widen_gate
from streamseg.engine.boundaries.tracker import BoundaryDecision, BoundaryTracker
from streamseg.engine.features import COLUMNS, FeatureExtractor
from streamseg.engine.features.loudness.meter import MOMENTARY, SAMPLE_PEAK, SHORT_TERM, LoudnessMeter
from streamseg.engine.features.resampling import Resampler
from streamseg.engine.features.texture import HOP_FRAMES, SPAN_FRAMES, TextureExtractor
from streamseg.engine.fingerprints.boundaries import DetectedJingle, FingerprintBoundaries
from streamseg.engine.labels.labeller import RELABEL_WINDOW_S
from streamseg.engine.models.loader import load_boundary_model, load_label_model
from streamseg.engine.models.weights import BoundaryModel, LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.engine.sections.report import SectionReporter
from streamseg.engine.sections.statistics import MIN_TEMPO_CONFIDENCE
from streamseg.engine.sound_class.classifier import SoundClassifier
from streamseg.errors import UsageError
from streamseg.settings import ENGINE_RATE, FRAME, HOP, Settings, hash_settings, make_settings
from streamseg.wire.events import (
    Event,
    Meter,
    Novelty,
    Report,
    SectionClosed,
    StreamGap,
    StreamLost,
    StreamResumed,
    StreamStarted,
    StreamStopped,
    StreamTitle,
)

_BLOCK_SAMPLES = 65_536  # samples handled at a time, so that one huge push needs no huge memory
_LONG_GAP_S = 2.0  # a longer gap ends the section
_METER_EVERY = 5  # frames
_MAX_STRETCHES = 64
_REFINEMENT_S = 3.0  # the exact place and the block at hand lie within this of the coarse one
_REPORT_MARGIN_S = 15.0  # sections reach this much further back than the detector looks
_FLOOR_LUFS = -100.0
_STREAM = "stream"


class Segmenter:
    """Listens to one stream. `push` returns what became known by these samples."""

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
        """settings: those of `music` when left out. sample_rate: of the samples to come, Hz.

        source: named in `stream.started`. telemetry: also say `meter` and `novelty`. model: what judges changes,
        label_model: what knows sections again; those shipped for the profile when left out. memory: named sounds of
        earlier runs; none when left out. taught: what listeners taught so far.
        """
        self.settings = settings or make_settings("music")
        self._model = model or load_boundary_model(self.settings.profile)
        self._label_model = label_model or load_label_model(self.settings.profile)
        self._named_sounds = named_sounds or NamedSounds()
        self.sample_rate = sample_rate
        self._source = source
        self._telemetry = telemetry
        self._channels = 0  # 0 until the first sample
        self._gathering = BlockGathering(sample_rate)
        self._samples_pushed = (
            0  # samples per channel at the source's rate, missing ones counted, gathered ones not yet
        )
        self._samples_missing = 0
        self._is_finished = False
        self._boundaries_confirmed = 0
        self._steps = 0  # texture vectors since the last long gap
        self._feedback = feedback
        self._classifier = BoundaryClassifier(widen_gate(self._model, self.settings))
        self._correction = FeedbackCorrection(self._model.ages, feedback)
        self._fingerprints = FingerprintBoundaries(self._named_sounds)
        self._tracker = BoundaryTracker(self.settings, self._model, self._fingerprints.min_confirmation_delay_s)
        self._sections = SectionTracker(self.settings, self._tracker.lookback_s, self._label_model, self._named_sounds)
        self._reporter = SectionReporter(self._tracker.lookback_s + _REPORT_MARGIN_S)
        self._key: str | None = None  # for the meter
        self._alarms = AlarmDetector(self.settings)
        self._sound_class = SoundClassifier(self.settings)
        self._stretches: list[tuple[int, float]] = []  # of each stretch: its first texture step, its start in seconds
        self._start_stretch()

    def _start_stretch(self) -> None:
        """Start hearing afresh at the present time: nothing fine-grained reaches across a gap."""
        self._stretch_start = self._samples_pushed / self.sample_rate
        self._alarms.start_stretch(self._stretch_start)
        self._sound_class.start_stretch(self._stretch_start)
        self._fingerprints.start_stretch(self._stretch_start)
        self._resampler = Resampler(self.sample_rate)
        self._features = FeatureExtractor()
        self._loudness: LoudnessMeter | None = None  # made when the number of channels is known
        self._loudness_rows = 0  # blocks of loudness in this stretch
        self._texture = TextureExtractor()
        self._refiner = BoundaryRefiner(self._tracker.lookback_s)
        self._frame = 0  # frames heard in this stretch
        self._stretches = [*self._stretches[1 - _MAX_STRETCHES :], (self._steps, self._stretch_start)]

    @property
    def t(self) -> float:
        """Stream seconds pushed so far."""
        return (self._samples_pushed + len(self._gathering)) / self.sample_rate

    @property
    def watermark(self) -> float:
        """Nothing at or before this stream time ever changes any more."""
        return max(
            0.0,
            self._samples_pushed / self.sample_rate - max(self._tracker.lookback_s + _REFINEMENT_S, RELABEL_WINDOW_S),
        )

    def descriptor_of_label(self, label: str) -> bytes | None:
        """What sections of this label sound like, to be remembered under a name; None when nothing is known of it."""
        return self._sections.descriptor_of_label(label)

    def name_of(self, label: str) -> str | None:
        """The name under which a label was remembered from an earlier run."""
        return self._sections.name_of(label)

    def push_item(self, item: SourceItem) -> list[Event]:
        """Take whatever a source gives."""
        match item:
            case Block(samples=samples):
                return self.push(samples)
            case Gap(missing_samples=missing, cause=cause):
                return self.push_gap(missing, cause)
            case Title(title=title):
                return [*self._hear_gathered(), Event(_STREAM, StreamTitle(t=self._rounded_time(), title=title))]
            case SourceAway(reason=reason, back=False):
                return [*self._hear_gathered(), Event(_STREAM, StreamLost(t=self._rounded_time(), reason=reason))]
            case SourceAway(away_s=away_s):
                return [*self._hear_gathered(), Event(_STREAM, StreamResumed(t=self._rounded_time(), away_s=away_s))]

    def push(self, samples: Samples | NDArray[np.floating]) -> list[Event]:
        """Take samples, float, full scale ±1, shape (n,) or (n, channels); the array is neither kept nor written.

        Copies of blocks shorter than 5 ms are gathered and heard together: their events come that much later.
        The fastest tiny push is an array of float32; a list of one number takes five times as long.
        Raises AskedWrongly for another shape, for a change of channels, or after `finish`.
        """
        if self._gathering.add_like_last(samples):
            return []
        if self._is_finished:
            raise UsageError("this segmenter has finished; make a new one for more sound")
        block = as_block(samples)
        if not len(block):
            return []
        events = self._start_stream(block.shape[1])
        if len(block) < self._gathering.is_tiny:
            return events + self._hear_gathered() if self._gathering.add_samples(block, np.shape(samples)) else events
        if self._gathering.waiting_samples:
            events += self._hear_gathered()
        for start in range(0, len(block), _BLOCK_SAMPLES):
            events += self._hear_all(block[start : start + _BLOCK_SAMPLES])
        return events

    def push_gap(self, missing_samples: int, cause: GapCause) -> list[Event]:
        """So many samples (per channel, at the source's rate) were lost here; stream time goes on."""
        if missing_samples <= 0:
            return []
        missing_s = missing_samples / self.sample_rate
        events = (
            self._hear_gathered() + self._process(self._resampler.flush()) + self._alarms.take_events_until(math.inf)
        )
        said = Event(_STREAM, StreamGap(t=self._rounded_time(), missing_s=round(missing_s, 6), cause=cause))
        if missing_s > _LONG_GAP_S and self._channels:
            events += self._close_section("gap", at_end=False)
        self._samples_pushed += missing_samples
        self._samples_missing += missing_samples
        events.append(said)
        if missing_s > _LONG_GAP_S:
            self._classifier = BoundaryClassifier(widen_gate(self._model, self.settings))
            self._correction = FeedbackCorrection(self._model.ages, self._feedback)
            self._tracker.restart()
            self._sections.start_section(self._rounded_time())
            self._steps, self._stretches = 0, []
        self._start_stretch()
        return events

    def finish(self, reason: str = "end") -> list[Event]:
        """The sound is over: say everything pending. The segmenter takes nothing more."""
        if self._is_finished:
            return []
        events = (
            self._hear_gathered() + self._process(self._resampler.flush()) + self._alarms.take_events_until(math.inf)
        )
        self._is_finished = True
        self._gathering.close()
        if not self._channels:
            return events
        events += self._close_section("end", at_end=True)
        totals = {
            "heard_s": round((self._samples_pushed - self._samples_missing) / self.sample_rate, 6),
            "missing_s": round(self._samples_missing / self.sample_rate, 6),
            "boundaries": float(self._boundaries_confirmed),
        }
        events.append(Event(_STREAM, StreamStopped(t=self._rounded_time(), reason=reason, totals=totals)))
        return events

    def find_candidate(self, t: float, verdict: Verdict) -> CandidateObservation | None:
        """What was known of the change that somebody marks at stream time t; None when it is not remembered."""
        before_s, after_s = MARK_TOLERANCE_S[verdict]
        return self._correction.find_candidate(self._step_at(t - before_s), self._step_at(t + after_s))

    def _hear_gathered(self) -> list[Event]:
        """Bring the stages up to the last sample that was pushed."""
        return self._hear_all(self._gathering.take_all()) if self._gathering.waiting_samples else []

    def _hear_all(self, piece: Samples) -> list[Event]:
        """Samples of the source, shape (n, channels), through the meter and the whole way to events."""
        self._samples_pushed += len(piece)
        self._measure_loudness(piece)
        return self._process(self._resampler.push(piece))

    def _process(self, mono: Samples) -> list[Event]:
        """The whole way of the sound, from engine-rate samples to events."""
        frames = self._features.push(mono)
        events: list[Event] = []
        done = 0
        for index, vector in self._texture.push(frames):
            events += self._process_frames(frames[done : index + 1])
            done = index + 1
            self._steps += 1
            events += self._alarms.take_events_until(self._decision_time())
            changes = self._tracker.push(self._correction.push(vector, self._classifier.push(vector)))
            events += map(self._fingerprints.add_section_name, self._sections.push(vector))
            for change in changes:
                events += self._apply_decision(change, at_end=False)
            events += self._apply_fingerprints()
            if self._telemetry:
                key = self._reporter.key
                self._key = key.name if key else None
                events.append(self._make_novelty())
        return events + self._process_frames(frames[done:])

    def _process_frames(self, frames: NDArray[np.float64]) -> list[Event]:
        """Keep the fine features of these frames; say at once what the kind of sound became. The meter runs along."""
        self._refiner.push(frames)
        known = [(fact.decided_t, Event("sound", fact)) for fact in self._sound_class.push(frames)]
        self._fingerprints.push(frames)
        self._reporter.push_frames(self._frame, self._stretch_start, frames)
        first, self._frame = self._frame, self._frame + len(frames)
        if self._telemetry:
            meters = (
                self._make_meter(i, frames[i - first]) for i in range(first, self._frame) if i % _METER_EVERY == 0
            )
            known += [(meter.t, Event("meter", meter)) for meter in meters]
        return [event for _, event in sorted(known, key=lambda each: each[0])]  # as if the frames had come one by one

    def _apply_fingerprints(self) -> list[Event]:
        """Cue sounds that were heard make a boundary where they start, or name the section that began there."""
        events: list[Event] = []
        for fingerprint in self._fingerprints.take_detections():
            changes = self._tracker.confirm_at(self._step_at(fingerprint.t))
            for change in changes:
                events += self._apply_decision(
                    change, at_end=False, jingle=fingerprint if change.state == "confirmed" else None
                )
            events += self._fingerprints.name_section(fingerprint, self._sections)
        return events

    def _step_at(self, t: float) -> int:
        """The texture vector before which a change at stream time t lies."""
        step, start = next((join for join in reversed(self._stretches) if join[1] <= t), self._stretches[0])
        frame = (t - start) * ENGINE_RATE / HOP
        return step + max(0, round((frame - (SPAN_FRAMES - HOP_FRAMES) / 2) / HOP_FRAMES))

    def _apply_decision(
        self, decision: BoundaryDecision, *, at_end: bool, jingle: DetectedJingle | None = None
    ) -> list[Event]:
        """Give a change its exact time, and say it."""
        stretch_step, stretch_start = next(
            (join for join in reversed(self._stretches) if join[0] <= decision.step), self._stretches[0]
        )
        last_frame = SPAN_FRAMES - 1 + (decision.step - stretch_step) * HOP_FRAMES
        frame, uncertainty = last_frame + 1 - (SPAN_FRAMES + HOP_FRAMES) // 2, float(HOP_FRAMES)
        if stretch_start == self._stretch_start and decision.state != "retracted":  # of which no place is said
            frame, uncertainty = self._refiner.refine_boundary(frame)
        t = stretch_start + max(0, frame * HOP + (FRAME - HOP) // 2) / ENGINE_RATE
        if jingle is not None:
            decision, t, uncertainty = replace(decision, probability=jingle.probability), jingle.t, 2.0
        t = max(t, self._sections.start + HOP / ENGINE_RATE)
        if decision.state == "confirmed":
            self._boundaries_confirmed += 1
        uncertainty_s = round(uncertainty * HOP / ENGINE_RATE, 3)
        said = self._sections.apply_decision(decision, round(t, 6), self._decision_time(), uncertainty_s, at_end=at_end)
        return self._add_reports(self._fingerprints.mark_boundary(said, jingle))

    def _close_section(self, ended_by: Literal["gap", "end"], *, at_end: bool) -> list[Event]:
        """Settle what is pending and close the open section."""
        events: list[Event] = []
        for change in self._tracker.settle_pending():
            events += self._apply_decision(change, at_end=at_end)
        return events + self._add_reports(self._sections.close_section(self._rounded_time(), ended_by, at_end=at_end))

    def _add_reports(self, events: list[Event]) -> list[Event]:
        """Sections that close get their report, and the name a cue gave them."""
        return [
            Event(event.subject, msgspec.structs.replace(fact, report=self._make_report(fact.start, fact.end)))
            if isinstance(fact := event.data, SectionClosed)
            else event
            for event in map(self._fingerprints.add_section_name, events)
        ]

    def _make_report(self, start: float, end: float) -> Report:
        """What was measured; in silence the tempo is still that of what was before."""
        fractions = self._sound_class.class_fractions(start, end)
        report = msgspec.structs.replace(self._reporter.close_section(start, end), **fractions)
        if fractions["silence_fraction"] <= 0.5:
            return report
        return msgspec.structs.replace(report, tempo_bpm=None, tempo_confidence=None)

    def _measure_loudness(self, piece: Samples) -> None:
        """Loudness hears the full rate and all channels; alarms and reports rest on it."""
        if self._loudness is None:
            self._loudness = LoudnessMeter(self.sample_rate, piece.shape[1])
        blocks = self._loudness.push(piece)
        self._alarms.push(blocks)
        self._reporter.push_loudness(self._loudness_rows, self._stretch_start, blocks)
        self._loudness_rows += len(blocks)

    def _start_stream(self, channels: int) -> list[Event]:
        if self._channels:
            if channels != self._channels:
                raise UsageError(f"blocks of {channels} channels after blocks of {self._channels}; start a new stream")
            return []
        self._channels = channels
        fact = StreamStarted(
            sample_rate=self.sample_rate,
            channels=channels,
            source=self._source,
            profile=self.settings.profile,
            settings=msgspec.to_builtins(self.settings),
            latency_s=self.settings.lookahead_s,
            hashes={
                "settings": hash_settings(self.settings),
                "model": self._model.hash,
                "label_model": self._label_model.hash,
                "memory": self._named_sounds.hash,
                "lessons": self._feedback.hash if self._feedback else "none",
            },
        )
        return [Event(_STREAM, fact)]

    def _rounded_time(self) -> float:
        return round(self.t, 6)

    def _decision_time(self) -> float:
        """Stream time of the last sample that a decision now rests on."""
        return self._frame_end(self._frame - 1)

    def _frame_end(self, frame: int) -> float:
        return round(self._stretch_start + (frame * HOP + FRAME) / ENGINE_RATE, 6)

    def _make_meter(self, number: int, frame: NDArray[np.float64]) -> Meter:
        t = self._frame_end(number)
        rms_db, f0_hz, tempo, sure = (
            float(frame[COLUMNS[name]][0]) for name in ("rms_db", "f0_hz", "tempo_bpm", "tempo_confidence")
        )
        block = self._reporter.loudness_row_at(t)
        peak = 0.0 if block is None else float(block[SAMPLE_PEAK])
        momentary, short_term = (math.nan, math.nan) if block is None else (block[MOMENTARY], block[SHORT_TERM])
        return Meter(
            t=t,
            rms_db=round(rms_db, 2),
            peak_db=round(20.0 * math.log10(peak), 2) if peak > 0.0 else None,
            momentary_lufs=round(float(momentary), 2) if momentary > _FLOOR_LUFS else None,
            short_term_lufs=round(float(short_term), 2) if short_term > _FLOOR_LUFS else None,
            pitch_hz=round(f0_hz, 1) if f0_hz > 0.0 else None,
            tempo_bpm=round(tempo, 1) if sure >= MIN_TEMPO_CONFIDENCE else None,
            key=self._key,
        )

    def _make_novelty(self) -> Event:
        value, threshold = self._sections.novelty()
        fact = Novelty(
            t=self._decision_time(),
            value=round(value, 4),
            threshold=threshold,
            label=self._sections.label,
            label_probabilities=self._sections.label_probabilities,
        )
        return Event("novelty", fact)
