"""Keeps the labels and alarms of a stream, to refuse requests that name another."""

from __future__ import annotations

from streamseg.errors import UsageError
from streamseg.wire import events as e
from streamseg.wire.envelope import Envelope

_LABELS_MAX = 1000  # as many as the setting `labels_max` allows; the one emitted longest ago is dropped
_MAX_LISTED = 30


class UnknownLabelOrAlarmError(UsageError):
    """The request names a label or an alarm that the stream does not have."""


class LabelAndAlarmRegistry:
    """Keeps the labels and the raised alarms of one stream in its present epoch (run), collected from its events."""

    def __init__(self) -> None:
        self._epoch = ""
        self._labels: dict[str, None] = {}  # in the order in which they were last emitted
        self._alarms: dict[str, None] = {}

    def apply_event(self, envelope: Envelope) -> None:
        """Add the labels in an event; add the alarm that the event raises, or remove the alarm that it clears.

        The first event of an epoch removes all earlier labels and alarms.
        """
        if envelope.epoch != self._epoch:
            self._epoch = envelope.epoch
            self._labels.clear()
            self._alarms.clear()
        match envelope.data:
            case e.BoundaryConfirmed(prev=before, next=after):
                self._add_label(before.label)
                self._add_label(after.label)
            case e.SectionUpdated(label=label) | e.SectionClosed(label=label):
                self._add_label(label)
            case e.SectionRelabelled(label=label, previous=previous):
                self._add_label(previous)
                self._add_label(label)
            case e.AlarmRaised(alarm=alarm):
                self._alarms[alarm] = None
            case e.AlarmCleared(alarm=alarm):
                self._alarms.pop(alarm, None)
            case _:
                pass

    def require_label(self, stream_name: str, label: str) -> None:
        """Raise UnknownLabelOrAlarmError unless an event of this epoch had this label.

        stream_name: for the error message.
        """
        if label not in self._labels:
            raise UnknownLabelOrAlarmError(
                f"{stream_name} has said no label {label!r}; {_format_list('labels', self._labels)}"
            )

    def require_raised_alarm(self, stream_name: str, alarm: str) -> None:
        """Raise UnknownLabelOrAlarmError unless this alarm is raised now.

        stream_name: for the error message.
        """
        if alarm not in self._alarms:
            raise UnknownLabelOrAlarmError(
                f"alarm {alarm!r} of {stream_name} is not raised; {_format_list('raised', self._alarms)}"
            )

    def _add_label(self, label: str | None) -> None:
        if label is None:
            return
        self._labels.pop(label, None)
        self._labels[label] = None
        if len(self._labels) > _LABELS_MAX:
            del self._labels[next(iter(self._labels))]


def _format_list(title: str, items: dict[str, None]) -> str:
    """List the first ones in alphabetical order. Shorter labels are older, so `B` comes before `AA`."""
    names = sorted(items, key=lambda name: (len(name), name))
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"{title}: {', '.join(names[:_MAX_LISTED]) or 'none yet'}{more}"
