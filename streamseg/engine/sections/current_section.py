"""The current section: the newest one, whose end is not known yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.labeller import LabelEstimate
from streamseg.engine.sections.recent_vectors import RecentVectors

_MIN_VECTORS = 8  # the edge of a section is left out of its descriptor only if so many vectors remain


@dataclass(slots=True)
class CurrentSection:
    """The section that is still in progress, with its label estimate and its descriptor.

    number: 1, 2, 3 … start: stream seconds. n_vectors: texture vectors so far. The last n_recent of them, which a
    boundary may still move to the next section, are in `RecentVectors`; the others are in `old_descriptor`. edge_left:
    how many vectors at the beginning are still to be left out, since they may belong to the section before. estimate:
    None before the first one. jingle: name of the jingle that the section starts with, None for none.
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
        """Id of the section in events: `s-` and its number, such as `s-3`."""
        return f"s-{self.number}"

    @property
    def label(self) -> str | None:
        """The label estimated for this section; None before the first estimate, and while no label can be chosen."""
        return self.estimate.label if self.estimate else None

    @property
    def name(self) -> str | None:
        """Name of the jingle that the section starts with, else the name of its label; None if it has neither."""
        if self.jingle is not None:
            return self.jingle
        return self.estimate.name if self.estimate else None

    def add_newest_vector(self, recent: RecentVectors, undecided_steps: int) -> None:
        """Add the newest vector in `recent` to the section; a vector that is old enough moves into `old_descriptor`.

        The caller pushes the vector to `recent` before. undecided_steps: how many steps back a boundary may lie; older
        vectors surely belong to this section.
        """
        self.n_recent += 1
        self.n_vectors += 1
        if self.n_recent > undecided_steps:
            if self.edge_left:
                self.edge_left -= 1
            else:
                oldest = len(recent) - self.n_recent
                self.old_descriptor.push(*recent.vectors_and_clusters(oldest, oldest + 1))
            self.n_recent -= 1

    def compute_descriptor(self, recent: RecentVectors, n_left_out: int = 0) -> SectionDescriptor:
        """Compute the descriptor of the section from its texture vectors, without the last `n_left_out` of them.

        The edge at the beginning is left out too, as far as _MIN_VECTORS remain. recent: contains the last n_recent
        vectors of the section.
        """
        descriptor = self.old_descriptor.copy()
        end = len(recent) - n_left_out
        begin = len(recent) - self.n_recent
        begin += max(0, min(self.edge_left, end - begin - _MIN_VECTORS))
        descriptor.push(*recent.vectors_and_clusters(begin, end))
        return descriptor
