"""The control requests that a live stream must be able to carry out."""

from __future__ import annotations

from typing import Protocol

from streamseg.wire.event_data import Event
from streamseg.wire.messages import Verdict
from streamseg.wire.sound_events import AlarmKind


class StreamControls(Protocol):
    """The interface through which the server controls a live stream; `streamseg.live.session.Session` implements it.

    The server calls the methods on its event loop. They must queue the request and return at once; the events that
    result (`label.named`, `alarm.acknowledged`, a new epoch) are published later through `Hub.publish`. A method raises
    UsageError to refuse a request.
    """

    def finish(self) -> None:
        """Emit all pending events, then stop the stream."""

    def reset(self) -> None:
        """Emit all pending events, then start a new epoch with the same source."""

    def mark_boundary(self, t: float, verdict: Verdict) -> None:
        """Record feedback on the boundary at `t` (stream seconds), or that one is missing there."""

    def name_label(self, label: str, name: str, by: str) -> None:
        """Give a label a name. by: the name of the client."""

    def acknowledge_alarm(self, alarm: AlarmKind, by: str) -> None:
        """Acknowledge an alarm. by: the name of the client."""

    def set_sensitivity(self, sensitivity: float) -> None:
        """Set how many changes are reported (0 the fewest, 1 the most) from the next epoch on."""

    def publish_event(self, event: Event) -> None:
        """Publish an event of the server (`history.failed`, `history.restored`) in order with the stream's own."""
