"""What a client wants to hear.

Clients who want the same share one `TopicFilter`, so the hub chooses and joins the frames of a batch once for all of
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from streamseg.wire.events import BoundaryProvisional, BoundaryRetracted
from streamseg.wire.messages import HIGH_VOLUME, TOPICS, MinState, Topic

_PROVISIONAL_TYPES = frozenset((BoundaryProvisional.type, BoundaryRetracted.type))


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """Topics, and whether undecided boundaries count. High volume is heard only where it is asked for."""

    topics: frozenset[Topic] = TOPICS - HIGH_VOLUME
    min_state: MinState = "provisional"

    @classmethod
    def from_request(cls, subscribe: Iterable[Topic] | None, min_state: MinState) -> TopicFilter:
        """subscribe: topic names; None for all but the high-volume ones."""
        return cls(TOPICS - HIGH_VOLUME if subscribe is None else frozenset(subscribe), min_state)

    def with_topics(self, topics: Iterable[Topic]) -> TopicFilter:
        """These topics too."""
        return replace(self, topics=self.topics.union(topics))

    def without_topics(self, topics: Iterable[Topic]) -> TopicFilter:
        """Without these topics."""
        return replace(self, topics=self.topics.difference(topics))

    def sorted_topics(self) -> list[Topic]:
        """The topics by name."""
        return sorted(self.topics)

    def wants_event(self, topic: str, event_type: str) -> bool:
        """Whether an event of this topic and type is wanted."""
        return topic in self.topics and not (self.min_state == "confirmed" and event_type in _PROVISIONAL_TYPES)
