"""Events about boundaries: provisional, then confirmed or retracted."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from streamseg.wire.event_data import EventData


class FeatureDistances(msgspec.Struct, frozen=True, kw_only=True):
    """How much each group of features changed at a boundary, 0 to 1."""

    timbre: float
    harmony: float
    rhythm: float
    level: float


class PreviousSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section that a boundary ends."""

    section_id: str
    label: str | None


class NextSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section that a boundary begins. last_seen: end of the last section of that label, stream seconds."""

    section_id: str
    label: str | None
    seen_before: bool
    last_seen: float | None


class BoundaryProvisional(EventData, frozen=True, kw_only=True):
    """A boundary at `t` is probable but not confirmed; it may be emitted again with a higher `rev`."""

    type: ClassVar[str] = "streamseg.boundary.provisional.v1"
    boundary_id: str
    t: float
    decided_t: float
    stability: float
    score: float


class BoundaryConfirmed(EventData, frozen=True, kw_only=True):
    """A boundary is confirmed. It is never retracted, and its `t` never changes.

    t: stream seconds, ± t_uncertainty. decided_t: the stream time at which it was confirmed. confidence: 0 to 1.
    snapped_to: what `t` was moved to, None where it was not moved. at_end: confirmed because the stream ended.
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
    """A provisional boundary is withdrawn."""

    type: ClassVar[str] = "streamseg.boundary.retracted.v1"
    boundary_id: str
    decided_t: float
    at_end: bool = False
