"""Computes the state of a stream from its events alone.

The same events give the same state, so a client that applies the events it receives arrives at the snapshot that the
server sends to a new client.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal, TypeAlias

import msgspec

from streamseg.wire import events as e
from streamseg.wire.envelope import Envelope

StreamState: TypeAlias = Literal["waiting", "live", "lost", "stopped"]
RECENT_SECTIONS = 50
_NAMES_MAX = 1024
_OPEN_MAX = 256  # provisional boundaries; the engine has few, and a faulty one must not fill the memory


class OpenSection(msgspec.Struct, kw_only=True):
    """The section that has not ended. start: stream seconds. label, name: None where there is none yet."""

    section_id: str
    start: float
    label: str | None = None
    name: str | None = None


class Snapshot(msgspec.Struct, kw_only=True):
    """The state of a stream at one offset: a client that has it can apply the events that follow.

    t: stream seconds processed. watermark: stream seconds; nothing at or before it changes any more. section: the one
    that has not ended, None without one. sound: whether there is speech, music, silence; None before the first
    `sound.changed`. alarms: those that are raised. open: provisional boundaries. recent: the last closed sections.
    """

    state: StreamState = "waiting"
    t: float = 0.0
    watermark: float = 0.0
    section: OpenSection | None = None
    sound: dict[str, bool] | None = None
    alarms: list[dict[str, Any]] = []
    open: list[dict[str, Any]] = []
    recent: list[dict[str, Any]] = []


class SnapshotBuilder:
    """Computes the state of one stream: `apply_event` takes each event, `make_snapshot` returns the state."""

    def __init__(self) -> None:
        self._recent_sections: deque[dict[str, Any]] = deque(maxlen=RECENT_SECTIONS)
        self.start_epoch("")

    def start_epoch(self, epoch: str) -> None:
        """Reset the state, except the list of closed sections, and begin the epoch with this id."""
        self.epoch = epoch
        self.state: StreamState = "waiting"
        self.t = 0.0
        self.watermark = 0.0
        self._section_start = 0.0  # start of the section whose id no event has named yet
        self._names: dict[str, str] = {}  # given in this epoch; the engine uses them from the next one on
        self._section: OpenSection | None = None
        self._sound: dict[str, bool] | None = None
        self._alarms: dict[str, dict[str, Any]] = {}
        self._provisional_boundaries: dict[str, dict[str, Any]] = {}

    def make_snapshot(self) -> Snapshot:
        """Return the present state. Later events do not change the returned snapshot."""
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
        """Set two stream times in seconds: `t`, processed so far, and `watermark`, up to which nothing can change."""
        self.t, self.watermark = t, watermark

    def apply_event(self, envelope: Envelope) -> None:
        """Update the state with one event. If the event has another epoch, first reset the state by `start_epoch`.

        High-volume events change nothing.
        """
        if envelope.epoch != self.epoch:
            self.start_epoch(envelope.epoch)
        match envelope.data:
            case e.StreamStarted() | e.StreamResumed():
                self.state = "live"
            case e.StreamLost():
                self.state = "lost"
            case e.StreamStopped():
                self.state, self._section = "stopped", None
                self._provisional_boundaries.clear()
            case e.StreamGap(t=t, missing_s=missing_s):
                self._section_start = max(self._section_start, t + missing_s)
            case e.BoundaryProvisional() as boundary:
                self._provisional_boundaries[boundary.boundary_id] = msgspec.to_builtins(boundary)
                if len(self._provisional_boundaries) > _OPEN_MAX:
                    del self._provisional_boundaries[next(iter(self._provisional_boundaries))]
            case e.BoundaryRetracted(boundary_id=boundary_id):
                self._provisional_boundaries.pop(boundary_id, None)
            case e.BoundaryConfirmed() as boundary:
                self._provisional_boundaries.pop(boundary.boundary_id, None)
                self._section_start = boundary.t
                self._section = OpenSection(
                    section_id=boundary.next.section_id,
                    start=boundary.t,
                    label=boundary.next.label,
                    name=self._names.get(boundary.next.label or ""),
                )
            case e.SectionUpdated() as section:
                self._update_section(section)
            case e.SectionClosed() as section:
                self._close_section(section)
            case e.SectionRelabelled() as section:
                self._relabel_section(section)
            case e.SoundChanged() as sound:
                self._sound = {"speech": sound.speech, "music": sound.music, "silence": sound.silence}
            case e.AlarmRaised() as alarm:
                self._alarms[alarm.alarm] = {**msgspec.to_builtins(alarm), "acknowledged_by": None}
            case e.AlarmCleared(alarm=kind):
                self._alarms.pop(kind, None)
            case e.AlarmAcknowledged(alarm=kind, by=by):
                if kind in self._alarms:
                    self._alarms[kind] = {**self._alarms[kind], "acknowledged_by": by}
            case e.LabelNamed() as naming:
                self._name_label(naming)
            case _:
                pass

    def _update_section(self, section: e.SectionUpdated) -> None:
        start = self._section.start if self._section is not None else self._section_start
        if self._section is not None and self._section.section_id != section.section_id:
            start = self._section_start
        name = self._names.get(section.label or "", section.name)
        self._section = OpenSection(section_id=section.section_id, start=start, label=section.label, name=name)

    def _close_section(self, section: e.SectionClosed) -> None:
        name = self._names.get(section.label or "", section.name)
        self._recent_sections.append({**msgspec.to_builtins(section), "name": name})
        self._section_start = max(self._section_start, section.end)
        if self._section is not None and self._section.section_id == section.section_id:
            self._section = None

    def _relabel_section(self, section: e.SectionRelabelled) -> None:
        if self._section is not None and self._section.section_id == section.section_id:
            self._section.label = section.label
        for i, recent in enumerate(self._recent_sections):
            if recent["section_id"] == section.section_id:
                self._recent_sections[i] = {**recent, "label": section.label}

    def _name_label(self, naming: e.LabelNamed) -> None:
        self._names[naming.label] = naming.name
        if len(self._names) > _NAMES_MAX:
            del self._names[next(iter(self._names))]
        if self._section is not None and self._section.label == naming.label:
            self._section.name = naming.name
        for i, recent in enumerate(self._recent_sections):
            if recent["label"] == naming.label:
                self._recent_sections[i] = {**recent, "name": naming.name}
