"""`EventData`, the base class of the content of events, and `Event`, which adds the subject."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of the content of an event (`data`); each type of event is a subclass with its own fields.

    type: the CloudEvents type. high_volume: whether events of this type carry no offset, are not recorded, and may be
    dropped for a slow client.
    """

    type: ClassVar[str]
    high_volume: ClassVar[bool] = False


class Event(msgspec.Struct, frozen=True):
    """One event as the engine emits it. subject: id of its boundary or section, or a fixed word such as `stream`."""

    subject: str
    data: EventData

    @property
    def type(self) -> str:
        """The CloudEvents type, such as `streamseg.boundary.confirmed.v1`."""
        return self.data.type


def topic_of_type(event_type: str) -> str:
    """Return the topic that a type of event belongs to: `boundary` for `streamseg.boundary.confirmed.v1`."""
    return event_type.split(".")[1]
