"""The state of a stream, folded from its events alone.

A pure fold: the same events give the same state, so a client that folds what it hears arrives at the very
snapshot that a newcomer is handed.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal, TypeAlias

import msgspec

from streamseg.wire import events as facts
from streamseg.wire.envelope import Envelope

StreamState: TypeAlias = Literal["waiting", "live", "lost", "stopped"]
RECENT_SECTIONS = 50
_NAMES_MAX = 1024
_OPEN_MAX = 256  # undecided boundaries; the engine keeps few, a faulty one must not fill the memory


class OpenSection(msgspec.Struct, kw_only=True):
    """The section that sounds now. `start` in stream seconds."""

    section_id: str
    start: float
    label: str | None = None
    name: str | None = None


class Snapshot(msgspec.Struct, kw_only=True):
    """What a newcomer must know to go on from here."""

    state: StreamState = "waiting"
    t: float = 0.0
    watermark: float = 0.0
    section: OpenSection | None = None
    sound: dict[str, bool] | None = None
    alarms: list[dict[str, Any]] = []
    open: list[dict[str, Any]] = []
    recent: list[dict[str, Any]] = []


class SnapshotBuilder:
    """Keeps one stream's state current."""

    def __init__(self) -> None:
        self._recent_sections: deque[dict[str, Any]] = deque(maxlen=RECENT_SECTIONS)
        self.start_epoch("")

    def start_epoch(self, epoch: str) -> None:
        """A new epoch: nothing is known of it yet. Closed sections are remembered."""
        self.epoch = epoch
        self.state: StreamState = "waiting"
        self.t = 0.0
        self.watermark = 0.0
        self._section_start = 0.0  # where the section begins that nobody has named yet
        self._names: dict[str, str] = {}  # given in this epoch; the engine does not know them before the next
        self._section: OpenSection | None = None
        self._sound: dict[str, bool] | None = None
        self._alarms: dict[str, dict[str, Any]] = {}
        self._provisional_boundaries: dict[str, dict[str, Any]] = {}

    def make_snapshot(self) -> Snapshot:
        """The state now, sharing nothing that changes later."""
        return Snapshot(
            state=self.state,
            t=self.t,
            watermark=self.watermark,
            section=msgspec.structs.replace(self._section) if self._section else None,
            sound=self._sound,
            alarms=list(self._alarms.values()),
            open=list(self._provisional_boundaries.values()),
            recent=list(self._recent_sections),
        )

    def set_position(self, t: float, watermark: float) -> None:
        """The stream was heard up to `t` and is settled up to `watermark`, stream seconds."""
        self.t, self.watermark = t, watermark

    def apply_event(self, envelope: Envelope) -> None:
        """Fold one event in. High-volume events change nothing."""
        if envelope.epoch != self.epoch:
            self.start_epoch(envelope.epoch)
        match envelope.data:
            case facts.StreamStarted() | facts.StreamResumed():
                self.state = "live"
            case facts.StreamLost():
                self.state = "lost"
            case facts.StreamStopped():
                self.state, self._section = "stopped", None
                self._provisional_boundaries.clear()
            case facts.StreamGap(t=t, missing_s=missing_s):
                self._section_start = max(self._section_start, t + missing_s)
            case facts.BoundaryProvisional() as boundary:
                self._provisional_boundaries[boundary.boundary_id] = msgspec.to_builtins(boundary)
                if len(self._provisional_boundaries) > _OPEN_MAX:
                    del self._provisional_boundaries[next(iter(self._provisional_boundaries))]
            case facts.BoundaryRetracted(boundary_id=boundary_id):
                self._provisional_boundaries.pop(boundary_id, None)
            case facts.BoundaryConfirmed() as boundary:
                self._provisional_boundaries.pop(boundary.boundary_id, None)
                self._section_start = boundary.t
                self._section = OpenSection(
                    section_id=boundary.next.section_id,
                    start=boundary.t,
                    label=boundary.next.label,
                    name=self._names.get(boundary.next.label or ""),
                )
            case facts.SectionUpdated() as section:
                self._update_section(section)
            case facts.SectionClosed() as section:
                self._close_section(section)
            case facts.SectionRelabelled() as section:
                self._relabel_section(section)
            case facts.SoundChanged() as sound:
                self._sound = {"speech": sound.speech, "music": sound.music, "silence": sound.silence}
            case facts.AlarmRaised() as alarm:
                self._alarms[alarm.alarm] = {**msgspec.to_builtins(alarm), "acknowledged_by": None}
            case facts.AlarmCleared(alarm=kind):
                self._alarms.pop(kind, None)
            case facts.AlarmAcknowledged(alarm=kind, by=by):
                if kind in self._alarms:
                    self._alarms[kind] = {**self._alarms[kind], "acknowledged_by": by}
            case facts.LabelNamed() as named:
                self._name_label(named)
            case _:
                pass

    def _update_section(self, section: facts.SectionUpdated) -> None:
        start = self._section.start if self._section is not None else self._section_start
        if self._section is not None and self._section.section_id != section.section_id:
            start = self._section_start
        name = self._names.get(section.label or "", section.name)
        self._section = OpenSection(section_id=section.section_id, start=start, label=section.label, name=name)

    def _close_section(self, section: facts.SectionClosed) -> None:
        name = self._names.get(section.label or "", section.name)
        self._recent_sections.append({**msgspec.to_builtins(section), "name": name})
        self._section_start = max(self._section_start, section.end)
        if self._section is not None and self._section.section_id == section.section_id:
            self._section = None

    def _relabel_section(self, section: facts.SectionRelabelled) -> None:
        if self._section is not None and self._section.section_id == section.section_id:
            self._section.label = section.label
        for i, closed in enumerate(self._recent_sections):
            if closed["section_id"] == section.section_id:
                self._recent_sections[i] = {**closed, "label": section.label}

    def _name_label(self, event: facts.LabelNamed) -> None:
        self._names[event.label] = event.name
        if len(self._names) > _NAMES_MAX:
            del self._names[next(iter(self._names))]
        if self._section is not None and self._section.label == event.label:
            self._section.name = event.name
        for i, closed in enumerate(self._recent_sections):
            if closed["label"] == event.label:
                self._recent_sections[i] = {**closed, "name": event.name}
