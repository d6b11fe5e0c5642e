"""What a stream has said that a request may be about: the labels of this epoch, and the alarms that are raised."""

from __future__ import annotations

from streamseg.errors import UsageError
from streamseg.wire import events as facts
from streamseg.wire.envelope import Envelope

_LABELS_MAX = 1000  # as many as a setting of `labels_max` allows; the label said longest ago is forgotten
_MAX_LISTED = 30


class UnknownSubjectError(UsageError):
    """A request is about something that the stream has not said."""


class RequestSubjects:
    """Folded from the events of a stream, as they are sent."""

    def __init__(self) -> None:
        self._epoch = ""
        self._labels: dict[str, None] = {}  # in the order in which they were last said
        self._alarms: dict[str, None] = {}

    def push(self, envelope: Envelope) -> None:
        """Take note of what an event says. A new epoch begins with nothing."""
        if envelope.epoch != self._epoch:
            self._epoch = envelope.epoch
            self._labels.clear()
            self._alarms.clear()
        match envelope.data:
            case facts.BoundaryConfirmed(prev=before, next=after):
                self._describe_label(before.label)
                self._describe_label(after.label)
            case facts.SectionUpdated(label=label) | facts.SectionClosed(label=label):
                self._describe_label(label)
            case facts.SectionRelabelled(label=label, previous=previous):
                self._describe_label(previous)
                self._describe_label(label)
            case facts.AlarmRaised(alarm=alarm):
                self._alarms[alarm] = None
            case facts.AlarmCleared(alarm=alarm):
                self._alarms.pop(alarm, None)
            case _:
                pass

    def check_label(self, stream: str, label: str) -> None:
        """Raise UnknownSubject, which lists the labels there are, when this one was never said."""
        if label not in self._labels:
            raise UnknownSubjectError(f"{stream} has said no label {label!r}; {_format_list('labels', self._labels)}")

    def check_alarm(self, stream: str, alarm: str) -> None:
        """Raise UnknownSubject, which lists the alarms that are raised, when this one is not."""
        if alarm not in self._alarms:
            raise UnknownSubjectError(
                f"alarm {alarm!r} of {stream} is not raised; {_format_list('raised', self._alarms)}"
            )

    def _describe_label(self, label: str | None) -> None:
        if label is None:
            return
        self._labels.pop(label, None)
        self._labels[label] = None
        if len(self._labels) > _LABELS_MAX:
            del self._labels[next(iter(self._labels))]


def _format_list(what: str, found: dict[str, None]) -> str:
    """The first ones in alphabetical order: shorter labels are older, so `B` comes before `AA`."""
    names = sorted(found, key=lambda name: (len(name), name))
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"{what}: {', '.join(names[:_MAX_LISTED]) or 'none yet'}{more}"
