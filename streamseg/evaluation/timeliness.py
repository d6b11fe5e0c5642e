"""What is said before it is certain: how soon, how often in vain, and whether it is as likely as it is called.

A provisional change counts as true where the truth has one within the margin of the scoring. Stability is held
against that, and also against what became of the change: confirmed or retracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from streamseg.evaluation import scores
from streamseg.evaluation.annotations import AnnotatedFile
from streamseg.evaluation.calibration import ReliabilityDiagram, make_reliability_diagram

EARLY_S = 4.0
_MARGIN_S = 3.0
_SHARP_S = 0.2  # a transition shorter than this is a cut

DecisionState: TypeAlias = Literal["provisional", "confirmed", "retracted"]


@dataclass(frozen=True, slots=True)
class BoundaryPrediction:
    """One thing said of a boundary. t: None when it was taken back. probability: stability or confidence."""

    boundary_id: str
    state: DecisionState
    t: float | None
    decided_t: float
    probability: float
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class TimelinessCounts:
    """Counts and pairs of one track, to be pooled over tracks.

    sharp: changes that happen at one moment. soon: how many of them were said, in whatever state, within `SOON_S`.
    provisional, retracted: boundaries that were said before they were certain, and those of them taken back.
    stability: (said, true, confirmed in the end) of every provisional saying. confidence: (said, true).
    """

    sharp: int
    early: int
    provisional: int
    retractions: int
    stability: tuple[tuple[float, bool, bool], ...]
    confidence: tuple[tuple[float, bool], ...]


def measure_timeliness(track: AnnotatedFile, history: tuple[BoundaryPrediction, ...]) -> TimelinessCounts:
    """Judge what was said of one track; what the ending settled was not a matter of time and is left out."""
    ended = {saying.boundary_id for saying in history if saying.at_end}
    start, end = track.spans[0].start, track.spans[-1].end
    whole = track.kind == "transitions"  # of a mix the truth covers what lies between transitions too
    told = [
        saying
        for saying in history
        if saying.boundary_id not in ended and (saying.t is None or whole or start < saying.t < end)
    ]
    changes = (
        [(span.start, span.end) for span in track.spans]
        if whole
        else [(t, t) for t in scores.inner_boundaries(track.spans)]
    )
    sharp = [begins for begins, ends in changes if ends - begins < _SHARP_S]

    def true(t: float) -> bool:
        return any(begins - _MARGIN_S <= t <= ends + _MARGIN_S for begins, ends in changes)

    found = [(saying.t, saying.decided_t) for saying in told if saying.t is not None]
    confirmed = {saying.boundary_id for saying in told if saying.state == "confirmed"}
    provisional = [saying for saying in told if saying.state == "provisional"]
    begun = {saying.boundary_id for saying in provisional}
    return TimelinessCounts(
        sharp=len(sharp),
        early=sum(any(abs(t - cut) <= _MARGIN_S and known - cut <= EARLY_S for t, known in found) for cut in sharp),
        provisional=len(begun),
        retractions=len(begun & {saying.boundary_id for saying in told if saying.state == "retracted"}),
        stability=tuple(
            (saying.probability, true(saying.t), saying.boundary_id in confirmed)
            for saying in provisional
            if saying.t is not None
        ),
        confidence=tuple(
            (saying.probability, true(saying.t))
            for saying in told
            if saying.state == "confirmed" and saying.t is not None
        ),
    )


def reliability_diagrams(tracks: list[TimelinessCounts]) -> dict[str, ReliabilityDiagram]:
    """The three diagrams, over all tracks together."""
    stability = [said for track in tracks for said in track.stability]
    confidence = [said for track in tracks for said in track.confidence]
    return {
        "confidence": make_reliability_diagram([p for p, _ in confidence], [true for _, true in confidence]),
        "stability": make_reliability_diagram([p for p, _, _ in stability], [true for _, true, _ in stability]),
        "stability against being confirmed": make_reliability_diagram(
            [p for p, _, _ in stability], [kept for _, _, kept in stability]
        ),
    }


def summarise_timeliness(tracks: list[TimelinessCounts]) -> list[tuple[str, str, str]]:
    """(what, value, "") over all tracks together."""
    rows = []
    sharp, provisional = sum(track.sharp for track in tracks), sum(track.provisional for track in tracks)
    if sharp:
        rows.append((f"sharp changes said within {EARLY_S:g} s", f"{sum(t.early for t in tracks) / sharp:.3f}", ""))
    if provisional:
        rows.append(("provisional, retracted", f"{sum(t.retractions for t in tracks) / provisional:.3f}", ""))
    for name, diagram in reliability_diagrams(tracks).items():
        if diagram.count:
            rows.append((f"calibration error of {name}", f"{diagram.error:.3f}", f"{sum(diagram.count)} sayings"))
    return rows
