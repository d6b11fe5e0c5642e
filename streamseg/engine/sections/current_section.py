"""The current section: the one that no boundary ends yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.labeller import LabelEstimate
from streamseg.engine.sections.recent_vectors import RecentVectors

_MIN_VECTORS = 8  # the edge of a section is left out of its descriptor only if so many vectors remain


@dataclass(slots=True)
class CurrentSection:
    """A section that is still growing, and its descriptor.

    Vectors that a boundary may yet move to the next section stay in `RecentVectors`, the last n_recent of them; the
    others are in `old_descriptor`. edge_left: vectors at the beginning that may still belong to the section before,
    and are left out. jingle: the name of the jingle that the section starts with.
    """

    number: int
    start: float
    n_recent: int = 0
    edge_left: int = 0
    n_vectors: int = 0
    old_descriptor: SectionDescriptor = field(default_factory=SectionDescriptor)
    estimate: LabelEstimate | None = None
    jingle: str | None = None

    @property
    def id(self) -> str:
        """The section's id on the wire."""
        return f"s-{self.number}"

    @property
    def label(self) -> str | None:
        """The estimated label, or None."""
        return self.estimate.label if self.estimate else None

    @property
    def name(self) -> str | None:
        """The name: that of its jingle, else that of its label."""
        if self.jingle is not None:
            return self.jingle
        return self.estimate.name if self.estimate else None

    def add_vector(self, recent: RecentVectors, undecided_steps: int) -> None:
        """Count the vector that was just added to `recent`. undecided_steps: how far back a boundary may lie."""
        self.n_recent += 1
        self.n_vectors += 1
        if self.n_recent > undecided_steps:
            if self.edge_left:
                self.edge_left -= 1
            else:
                oldest = len(recent) - self.n_recent
                self.old_descriptor.push(*recent.between(oldest, oldest + 1))
            self.n_recent -= 1

    def describe(self, recent: RecentVectors, leave_out: int = 0) -> SectionDescriptor:
        """Compute the descriptor of all its vectors but the last `leave_out`."""
        descriptor = self.old_descriptor.copy()
        end = len(recent) - leave_out
        begin = len(recent) - self.n_recent
        begin += max(0, min(self.edge_left, end - begin - _MIN_VECTORS))
        descriptor.push(*recent.between(begin, end))
        return descriptor
