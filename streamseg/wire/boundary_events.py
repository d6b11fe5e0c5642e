"""Events about boundaries: each is provisional at first, then confirmed or retracted."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from streamseg.wire.event_data import EventData


class FeatureDistances(msgspec.Struct, frozen=True, kw_only=True):
    """How much each group of features changed at a boundary: 0 not at all, 1 the most."""

    timbre: float
    harmony: float
    rhythm: float
    level: float


class PreviousSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section that ends at a boundary. label: None where it has none."""

    section_id: str
    label: str | None


class NextSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section that begins at a boundary. label: None where it is not estimated yet.

    seen_before: whether an earlier section, or a named sound, has the same label. last_seen: end of the last section
    that has it, in stream seconds; None without one.
    """

    section_id: str
    label: str | None
    seen_before: bool
    last_seen: float | None


class BoundaryProvisional(EventData, frozen=True, kw_only=True):
    """A boundary at stream time `t` is probable; a later event confirms or retracts it.

    It may be emitted again, with the same `boundary_id` and a higher `rev`. t, decided_t: stream seconds of the
    boundary, and of the last sample that the decision used. stability: probability of a change there, 0 to 1. score:
    the boundary classifier's probability as a fraction of the confirmation threshold.
    """

    type: ClassVar[str] = "streamseg.boundary.provisional.v1"
    boundary_id: str
    t: float
    decided_t: float
    stability: float
    score: float


class BoundaryConfirmed(EventData, frozen=True, kw_only=True):
    """A boundary at stream time `t` is confirmed: it is never retracted, and `t` never changes.

    t: seconds, ± t_uncertainty. decided_t: stream seconds at which it was confirmed. confidence: probability, 0 to 1.
    evidence: how much changed. snapped_to: the jingle that `t` was moved to (`cue:NAME`), None where it was not moved.
    prev, next: the sections before and after it. at_end: whether it was confirmed because the stream ended.
    """

    type: ClassVar[str] = "streamseg.boundary.confirmed.v1"
    boundary_id: str
    t: float
    decided_t: float
    t_uncertainty: float
    confidence: float
    evidence: FeatureDistances
    snapped_to: str | None
    prev: PreviousSection
    next: NextSection
    at_end: bool = False


class BoundaryRetracted(EventData, frozen=True, kw_only=True):
    """A provisional boundary is withdrawn: it was not confirmed.

    decided_t: stream seconds of the decision. at_end: whether it was withdrawn because the stream ended.
    """

    type: ClassVar[str] = "streamseg.boundary.retracted.v1"
    boundary_id: str
    decided_t: float
    at_end: bool = False
