"""The topics that clients subscribe to, and the filter that a client's choice of them makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from streamseg.wire.boundary_events import BoundaryProvisional, BoundaryRetracted

Topic: TypeAlias = Literal["boundary", "section", "sound", "alarm", "stream", "label", "history", "meter", "novelty"]
TOPICS: frozenset[Topic] = frozenset(get_args(Topic))
HIGH_VOLUME_TOPICS: frozenset[Topic] = frozenset(("meter", "novelty"))
MinState: TypeAlias = Literal["provisional", "confirmed"]

_UNCONFIRMED_TYPES = frozenset((BoundaryProvisional.type, BoundaryRetracted.type))


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """Which events a client gets: those of `topics`, without unconfirmed boundaries where `min_state` is "confirmed".

    Filters compare by value, so clients with the same choice share one, and the frames of a batch are joined once for
    all of them. High-volume topics must be subscribed to by name.
    """

    topics: frozenset[Topic] = TOPICS - HIGH_VOLUME_TOPICS
    min_state: MinState = "provisional"

    @classmethod
    def from_request(cls, subscribe: Iterable[Topic] | None, min_state: MinState) -> TopicFilter:
        """Make the filter that an `identify` message asks for; `subscribe` None: all but the high-volume topics."""
        return cls(TOPICS - HIGH_VOLUME_TOPICS if subscribe is None else frozenset(subscribe), min_state)

    def with_topics(self, topics: Iterable[Topic]) -> TopicFilter:
        """Return a filter that lets these topics through as well."""
        return replace(self, topics=self.topics.union(topics))

    def without_topics(self, topics: Iterable[Topic]) -> TopicFilter:
        """Return a filter that does not let these topics through."""
        return replace(self, topics=self.topics.difference(topics))

    def sorted_topics(self) -> list[Topic]:
        """Return the topics in alphabetical order."""
        return sorted(self.topics)

    def wants_event(self, topic: str, event_type: str) -> bool:
        """Return whether the client gets events of this topic and type."""
        return topic in self.topics and not (self.min_state == "confirmed" and event_type in _UNCONFIRMED_TYPES)
