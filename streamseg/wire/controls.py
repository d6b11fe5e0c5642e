"""What a client may ask of a live stream."""

from __future__ import annotations

from typing import Protocol

from streamseg.wire.events import AlarmKind, Event
from streamseg.wire.messages import Verdict


class StreamControls(Protocol):
    """What clients and the history may ask of whoever feeds a stream.

    Called on the event loop: take note and return at once. A method raises AskedWrongly to refuse.
    What follows (`label.named`, `alarm.acknowledged`, a new epoch) comes back through `Hub.publish`.
    """

    def finish(self) -> None:
        """Say everything pending, then stop the stream."""

    def reset(self) -> None:
        """Say everything pending, then begin a new epoch over the same source."""

    def mark_boundary(self, t: float, verdict: Verdict) -> None:
        """Judge the boundary at `t` (stream seconds), or say that there is one."""

    def name_label(self, label: str, name: str, by: str) -> None:
        """Give a label a name."""

    def acknowledge_alarm(self, alarm: AlarmKind, by: str) -> None:
        """Take notice of an alarm."""

    def set_sensitivity(self, sensitivity: float) -> None:
        """Report more or fewer changes (0 to 1) from the next epoch on."""

    def publish_event(self, event: Event) -> None:
        """Stamp this event in order with the stream's own and publish it (`history.failed`, `history.restored`)."""
