"""The interface through which the server passes clients' control requests to a live stream."""

from __future__ import annotations

from typing import Protocol

from streamseg.wire.event_data import Event
from streamseg.wire.messages import Verdict
from streamseg.wire.sound_events import AlarmKind


class StreamControls(Protocol):
    """The methods by which the server controls a live stream; `streamseg.live.session.Session` implements them.

    The server calls them on its event loop. Each must queue its request and return at once; the events that result
    (`label.named`, `alarm.acknowledged`, a new epoch) are published later through `Hub.publish`. A method raises
    UsageError to refuse its request.
    """

    def finish(self) -> None:
        """Make the stream emit all pending events and stop."""

    def request_new_epoch(self) -> None:
        """Make the stream emit all pending events, then start a new epoch (run of the engine) with the same source."""

    def mark_boundary(self, t: float, verdict: Verdict) -> None:
        """Queue a user's mark at stream time `t`, in seconds: the boundary there is right, is wrong, or is missing.

        verdict: `confirm`: it is right; `reject`: it is wrong; `boundary`: one is missing there.
        """

    def name_label(self, label: str, name: str, by: str) -> None:
        """Give a label a name that a client requests. by: the name of the client."""

    def acknowledge_alarm(self, alarm: AlarmKind, by: str) -> None:
        """Mark a raised alarm as acknowledged by a client. by: the name of the client."""

    def set_next_epoch_sensitivity(self, sensitivity: float) -> None:
        """Set the sensitivity from the next epoch (run of the engine) on: 0 reports the fewest changes, 1 the most."""

    def publish_event(self, event: Event) -> None:
        """Make the stream publish a server event (`history.failed`, `history.restored`) like the stream's own."""
