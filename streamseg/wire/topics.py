"""The topics that clients subscribe to, and the filter that selects a client's events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from streamseg.errors import UsageError
from streamseg.wire.boundary_events import BoundaryProvisional, BoundaryRetracted

Topic: TypeAlias = Literal["boundary", "section", "sound", "alarm", "stream", "label", "history", "meter", "novelty"]
TOPICS: frozenset[Topic] = frozenset(get_args(Topic))
HIGH_VOLUME_TOPICS: frozenset[Topic] = frozenset(("meter", "novelty"))
MinState: TypeAlias = Literal["provisional", "confirmed"]

_UNCONFIRMED_TYPES = frozenset((BoundaryProvisional.type, BoundaryRetracted.type))


def check_topics(names: Iterable[str]) -> list[str]:
    """Return the topic names as a list; raise UsageError, which lists all topics, if one of the names is no topic."""
    names = list(names)
    for name in names:
        if name not in TOPICS:
            raise UsageError(f"there is no topic {name!r} to subscribe to; choose of: {', '.join(get_args(Topic))}")
    return names


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """Selects the events that a client gets: by topic, and only confirmed boundaries if `min_state` is "confirmed".

    Filters compare by value, so clients with the same choice share one, and the frames of a batch are joined once for
    all of them. High-volume topics must be subscribed to by name.
    """

    topics: frozenset[Topic] = TOPICS - HIGH_VOLUME_TOPICS
    min_state: MinState = "provisional"

    @classmethod
    def from_identify(cls, subscribe: Iterable[Topic] | None, min_state: MinState) -> TopicFilter:
        """Make the filter that a client requests in `identify`. subscribe: None for all but the high-volume topics."""
        return cls(TOPICS - HIGH_VOLUME_TOPICS if subscribe is None else frozenset(subscribe), min_state)

    def with_topics(self, topics: Iterable[Topic]) -> TopicFilter:
        """Return a copy of this filter that selects events of these topics too."""
        return replace(self, topics=self.topics.union(topics))

    def without_topics(self, topics: Iterable[Topic]) -> TopicFilter:
        """Return a copy of this filter that does not select events of these topics."""
        return replace(self, topics=self.topics.difference(topics))

    def sorted_topics(self) -> list[Topic]:
        """Return the topics of this filter in alphabetical order."""
        return sorted(self.topics)

    def matches_event(self, topic: str, event_type: str) -> bool:
        """Return whether the client gets events of this topic and type. event_type: its CloudEvents type."""
        return topic in self.topics and not (self.min_state == "confirmed" and event_type in _UNCONFIRMED_TYPES)
