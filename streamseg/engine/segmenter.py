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

from streamseg.blocks import Away, Block, Gap, GapCause, Item, Samples, Title
from streamseg.engine.alarms import Alarms
from streamseg.engine.changepoints import Change, ChangePoints
from streamseg.engine.features import COLUMNS, Features
from streamseg.engine.gathering import Gathering, as_block
from streamseg.engine.judge import Judge
from streamseg.engine.labels import RELABEL_S
from streamseg.engine.lessons import REACH_S, Lessons, Taught, Told, Verdict
from streamseg.engine.loudness import MOMENTARY, SAMPLE_PEAK, SHORT_TERM, Loudness
from streamseg.engine.placing import Placing
from streamseg.engine.report import Reports
from streamseg.engine.resampling import Resampler
from streamseg.engine.sections import Sections
from streamseg.engine.sensitivity import open_gate
from streamseg.engine.snapping import Heard, Snapping
from streamseg.engine.sound import Sound
from streamseg.engine.tally import TRUSTED
from streamseg.engine.texture import HOP_FRAMES, SPAN_FRAMES, Texture
from streamseg.errors import AskedWrongly
from streamseg.events import (
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
from streamseg.memory import Memory
from streamseg.settings import ENGINE_RATE, FRAME, HOP, Settings, settings_for, settings_hash
from streamseg.weights import ChangeModel, LabelModel, shipped_label_model, shipped_model

_PIECE = 65_536  # samples handled at a time, so that one huge push needs no huge memory
_LONG_GAP_S = 2.0  # a longer gap ends the section
_METER_EVERY = 5  # frames
_JOINS_REMEMBERED = 64
_PLACING_S = 3.0  # the exact place and the block at hand lie within this of the coarse one
_REPORTS_MORE_S = 15.0  # sections reach this much further back than the detector looks
_SILENT_LUFS = -100.0
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
        model: ChangeModel | None = None,
        label_model: LabelModel | None = None,
        memory: Memory | None = None,
        taught: Taught | None = None,
    ) -> None:
        """settings: those of `music` when left out. sample_rate: of the samples to come, Hz.

        source: named in `stream.started`. telemetry: also say `meter` and `novelty`. model: what judges changes,
        label_model: what knows sections again; those shipped for the profile when left out. memory: named sounds of
        earlier runs; none when left out. taught: what listeners taught so far.
        """
        self.settings = settings or settings_for("music")
        self._model = model or shipped_model(self.settings.profile)
        self._label_model = label_model or shipped_label_model(self.settings.profile)
        self._memory = memory or Memory()
        self.sample_rate = sample_rate
        self._source = source
        self._telemetry = telemetry
        self._channels = 0  # 0 until the first sample
        self._gathering = Gathering(sample_rate)
        self._heard = 0  # samples per channel at the source's rate, missing ones counted, gathered ones not yet
        self._missing = 0
        self._finished = False
        self._confirmed = 0
        self._steps = 0  # texture vectors since the last long gap
        self._taught = taught
        self._judge = Judge(open_gate(self._model, self.settings))
        self._lessons = Lessons(self._model.ages, taught)
        self._snapping = Snapping(self._memory)
        self._changes = ChangePoints(self.settings, self._model, self._snapping.patience_s)
        self._sections = Sections(self.settings, self._changes.lookback_s, self._label_model, self._memory)
        self._reports = Reports(self._changes.lookback_s + _REPORTS_MORE_S)
        self._key: str | None = None  # for the meter
        self._alarms = Alarms(self.settings)
        self._sound = Sound(self.settings)
        self._joins: list[tuple[int, float]] = []  # of each stretch: its first texture step, its start in seconds
        self._begin_stretch()

    def _begin_stretch(self) -> None:
        """Start hearing afresh at the present time: nothing fine-grained reaches across a gap."""
        self._stretch_start = self._heard / self.sample_rate
        self._alarms.begin_stretch(self._stretch_start)
        self._sound.begin_stretch(self._stretch_start)
        self._snapping.begin_stretch(self._stretch_start)
        self._resampler = Resampler(self.sample_rate)
        self._features = Features()
        self._loudness: Loudness | None = None  # made when the number of channels is known
        self._blocks = 0  # blocks of loudness in this stretch
        self._texture = Texture()
        self._placing = Placing(self._changes.lookback_s)
        self._frame = 0  # frames heard in this stretch
        self._joins = [*self._joins[1 - _JOINS_REMEMBERED :], (self._steps, self._stretch_start)]

    @property
    def t(self) -> float:
        """Stream seconds pushed so far."""
        return (self._heard + len(self._gathering)) / self.sample_rate

    @property
    def watermark(self) -> float:
        """Nothing at or before this stream time ever changes any more."""
        return max(0.0, self._heard / self.sample_rate - max(self._changes.lookback_s + _PLACING_S, RELABEL_S))

    def prototype(self, label: str) -> bytes | None:
        """What sections of this label sound like, to be remembered under a name; None when nothing is known of it."""
        return self._sections.prototype(label)

    def name_of(self, label: str) -> str | None:
        """The name under which a label was remembered from an earlier run."""
        return self._sections.name_of(label)

    def feed(self, item: Item) -> list[Event]:
        """Take whatever a source gives."""
        match item:
            case Block(samples=samples):
                return self.push(samples)
            case Gap(missing_samples=missing, cause=cause):
                return self.gap(missing, cause)
            case Title(title=title):
                return [*self._hear_gathered(), Event(_STREAM, StreamTitle(t=self._now(), title=title))]
            case Away(reason=reason, back=False):
                return [*self._hear_gathered(), Event(_STREAM, StreamLost(t=self._now(), reason=reason))]
            case Away(away_s=away_s):
                return [*self._hear_gathered(), Event(_STREAM, StreamResumed(t=self._now(), away_s=away_s))]

    def push(self, samples: Samples | NDArray[np.floating]) -> list[Event]:
        """Take samples, float, full scale ±1, shape (n,) or (n, channels); the array is neither kept nor written.

        Copies of blocks shorter than 5 ms are gathered and heard together: their events come that much later.
        The fastest tiny push is an array of float32; a list of one number takes five times as long.
        Raises AskedWrongly for another shape, for a change of channels, or after `finish`.
        """
        if self._gathering.add_alike(samples):
            return []
        if self._finished:
            raise AskedWrongly("this segmenter has finished; make a new one for more sound")
        block = as_block(samples)
        if not len(block):
            return []
        events = self._started(block.shape[1])
        if len(block) < self._gathering.tiny:
            return events + self._hear_gathered() if self._gathering.add(block, np.shape(samples)) else events
        if self._gathering.waiting:
            events += self._hear_gathered()
        for start in range(0, len(block), _PIECE):
            events += self._hear_all(block[start : start + _PIECE])
        return events

    def gap(self, missing_samples: int, cause: GapCause) -> list[Event]:
        """So many samples (per channel, at the source's rate) were lost here; stream time goes on."""
        if missing_samples <= 0:
            return []
        missing_s = missing_samples / self.sample_rate
        events = self._hear_gathered() + self._hear(self._resampler.flush()) + self._alarms.until(math.inf)
        said = Event(_STREAM, StreamGap(t=self._now(), missing_s=round(missing_s, 6), cause=cause))
        if missing_s > _LONG_GAP_S and self._channels:
            events += self._close("gap", at_end=False)
        self._heard += missing_samples
        self._missing += missing_samples
        events.append(said)
        if missing_s > _LONG_GAP_S:
            self._judge = Judge(open_gate(self._model, self.settings))
            self._lessons = Lessons(self._model.ages, self._taught)
            self._changes.restart()
            self._sections.begin(self._now())
            self._steps, self._joins = 0, []
        self._begin_stretch()
        return events

    def finish(self, reason: str = "end") -> list[Event]:
        """The sound is over: say everything pending. The segmenter takes nothing more."""
        if self._finished:
            return []
        events = self._hear_gathered() + self._hear(self._resampler.flush()) + self._alarms.until(math.inf)
        self._finished = True
        self._gathering.close()
        if not self._channels:
            return events
        events += self._close("end", at_end=True)
        totals = {
            "heard_s": round((self._heard - self._missing) / self.sample_rate, 6),
            "missing_s": round(self._missing / self.sample_rate, 6),
            "boundaries": float(self._confirmed),
        }
        events.append(Event(_STREAM, StreamStopped(t=self._now(), reason=reason, totals=totals)))
        return events

    def recall(self, t: float, verdict: Verdict) -> Told | None:
        """What was known of the change that somebody marks at stream time t; None when it is not remembered."""
        before_s, after_s = REACH_S[verdict]
        return self._lessons.recall(self._step_at(t - before_s), self._step_at(t + after_s))

    def _hear_gathered(self) -> list[Event]:
        """Bring the stages up to the last sample that was pushed."""
        return self._hear_all(self._gathering.take_all()) if self._gathering.waiting else []

    def _hear_all(self, piece: Samples) -> list[Event]:
        """Samples of the source, shape (n, channels), through the meter and the whole way to events."""
        self._heard += len(piece)
        self._meter_loudness(piece)
        return self._hear(self._resampler.push(piece))

    def _hear(self, mono: Samples) -> list[Event]:
        """The whole way of the sound, from engine-rate samples to events."""
        frames = self._features.push(mono)
        events: list[Event] = []
        done = 0
        for index, vector in self._texture.push(frames):
            events += self._placed(frames[done : index + 1])
            done = index + 1
            self._steps += 1
            events += self._alarms.until(self._decided())
            changes = self._changes.push(self._lessons.push(vector, self._judge.push(vector)))
            events += map(self._snapping.name, self._sections.push(vector))
            for change in changes:
                events += self._say(change, at_end=False)
            events += self._snapped()
            if self._telemetry:
                key = self._reports.key
                self._key = key.name if key else None
                events.append(self._novelty())
        return events + self._placed(frames[done:])

    def _placed(self, frames: NDArray[np.float64]) -> list[Event]:
        """Keep the fine features of these frames; say at once what the kind of sound became. The meter runs along."""
        self._placing.push(frames)
        known = [(fact.decided_t, Event("sound", fact)) for fact in self._sound.push(frames)]
        self._snapping.push(frames)
        self._reports.push_frames(self._frame, self._stretch_start, frames)
        first, self._frame = self._frame, self._frame + len(frames)
        if self._telemetry:
            meters = (self._meter(i, frames[i - first]) for i in range(first, self._frame) if i % _METER_EVERY == 0)
            known += [(meter.t, Event("meter", meter)) for meter in meters]
        return [event for _, event in sorted(known, key=lambda each: each[0])]  # as if the frames had come one by one

    def _snapped(self) -> list[Event]:
        """Cue sounds that were heard make a boundary where they start, or name the section that began there."""
        events: list[Event] = []
        for cue in self._snapping.heard():
            changes = self._changes.insist(self._step_at(cue.t))
            for change in changes:
                events += self._say(change, at_end=False, cue=cue if change.state == "confirmed" else None)
            events += self._snapping.named(cue, self._sections)
        return events

    def _step_at(self, t: float) -> int:
        """The texture vector before which a change at stream time t lies."""
        step, start = next((join for join in reversed(self._joins) if join[1] <= t), self._joins[0])
        frame = (t - start) * ENGINE_RATE / HOP
        return step + max(0, round((frame - (SPAN_FRAMES - HOP_FRAMES) / 2) / HOP_FRAMES))

    def _say(self, change: Change, *, at_end: bool, cue: Heard | None = None) -> list[Event]:
        """Give a change its exact time, and say it."""
        stretch_step, stretch_start = next(
            (join for join in reversed(self._joins) if join[0] <= change.step), self._joins[0]
        )
        last_frame = SPAN_FRAMES - 1 + (change.step - stretch_step) * HOP_FRAMES
        frame, uncertainty = last_frame + 1 - (SPAN_FRAMES + HOP_FRAMES) // 2, float(HOP_FRAMES)
        if stretch_start == self._stretch_start and change.state != "retracted":  # of which no place is said
            frame, uncertainty = self._placing.place(frame)
        t = stretch_start + max(0, frame * HOP + (FRAME - HOP) // 2) / ENGINE_RATE
        if cue is not None:
            change, t, uncertainty = replace(change, probability=cue.probability), cue.t, 2.0
        t = max(t, self._sections.start + HOP / ENGINE_RATE)
        if change.state == "confirmed":
            self._confirmed += 1
        uncertainty_s = round(uncertainty * HOP / ENGINE_RATE, 3)
        said = self._sections.say(change, round(t, 6), self._decided(), uncertainty_s, at_end=at_end)
        return self._reported(self._snapping.snapped(said, cue))

    def _close(self, ended_by: Literal["gap", "end"], *, at_end: bool) -> list[Event]:
        """Settle what is pending and close the open section."""
        events: list[Event] = []
        for change in self._changes.settle():
            events += self._say(change, at_end=at_end)
        return events + self._reported(self._sections.close(self._now(), ended_by, at_end=at_end))

    def _reported(self, events: list[Event]) -> list[Event]:
        """Sections that close get their report, and the name a cue gave them."""
        return [
            Event(event.subject, msgspec.structs.replace(fact, report=self._report(fact.start, fact.end)))
            if isinstance(fact := event.data, SectionClosed)
            else event
            for event in map(self._snapping.name, events)
        ]

    def _report(self, start: float, end: float) -> Report:
        """What was measured; in silence the tempo is still that of what was before."""
        fractions = self._sound.fractions(start, end)
        report = msgspec.structs.replace(self._reports.close(start, end), **fractions)
        if fractions["silence_fraction"] <= 0.5:
            return report
        return msgspec.structs.replace(report, tempo_bpm=None, tempo_confidence=None)

    def _meter_loudness(self, piece: Samples) -> None:
        """Loudness hears the full rate and all channels; alarms and reports rest on it."""
        if self._loudness is None:
            self._loudness = Loudness(self.sample_rate, piece.shape[1])
        blocks = self._loudness.push(piece)
        self._alarms.push(blocks)
        self._reports.push_blocks(self._blocks, self._stretch_start, blocks)
        self._blocks += len(blocks)

    def _started(self, channels: int) -> list[Event]:
        if self._channels:
            if channels != self._channels:
                raise AskedWrongly(
                    f"blocks of {channels} channels after blocks of {self._channels}; start a new stream"
                )
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
                "settings": settings_hash(self.settings),
                "model": self._model.hash,
                "label_model": self._label_model.hash,
                "memory": self._memory.hash,
                "lessons": self._taught.hash if self._taught else "none",
            },
        )
        return [Event(_STREAM, fact)]

    def _now(self) -> float:
        return round(self.t, 6)

    def _decided(self) -> float:
        """Stream time of the last sample that a decision now rests on."""
        return self._end_of(self._frame - 1)

    def _end_of(self, frame: int) -> float:
        return round(self._stretch_start + (frame * HOP + FRAME) / ENGINE_RATE, 6)

    def _meter(self, number: int, frame: NDArray[np.float64]) -> Meter:
        t = self._end_of(number)
        rms_db, f0_hz, tempo, sure = (
            float(frame[COLUMNS[name]][0]) for name in ("rms_db", "f0_hz", "tempo_bpm", "tempo_confidence")
        )
        block = self._reports.block_at(t)
        peak = 0.0 if block is None else float(block[SAMPLE_PEAK])
        momentary, short_term = (math.nan, math.nan) if block is None else (block[MOMENTARY], block[SHORT_TERM])
        return Meter(
            t=t,
            rms_db=round(rms_db, 2),
            peak_db=round(20.0 * math.log10(peak), 2) if peak > 0.0 else None,
            momentary_lufs=round(float(momentary), 2) if momentary > _SILENT_LUFS else None,
            short_term_lufs=round(float(short_term), 2) if short_term > _SILENT_LUFS else None,
            pitch_hz=round(f0_hz, 1) if f0_hz > 0.0 else None,
            tempo_bpm=round(tempo, 1) if sure >= TRUSTED else None,
            key=self._key,
        )

    def _novelty(self) -> Event:
        value, threshold = self._sections.novelty()
        fact = Novelty(
            t=self._decided(),
            value=round(value, 4),
            threshold=threshold,
            label=self._sections.label,
            label_probabilities=self._sections.label_probabilities,
        )
        return Event("novelty", fact)
