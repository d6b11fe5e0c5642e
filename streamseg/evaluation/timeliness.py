"""Measures how early boundaries are predicted, how often they are retracted, and how well they are calibrated.

A predicted boundary is true if the annotation has one within the margin of the scoring. Stability is compared with
that, and also with the final state of the boundary: confirmed or retracted.
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
class BoundaryStateChange:
    """One decision of the program about a boundary: the boundary is provisional, confirmed or retracted.

    t: stream seconds of the boundary, None when it is retracted. decided_t: of the decision. probability: stability of
    a provisional boundary, confidence of a confirmed one. at_end: whether the end of the stream caused the decision.
    """

    boundary_id: str
    state: DecisionState
    t: float | None
    decided_t: float
    probability: float
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class TimelinessCounts:
    """Counts of one track that show how early boundaries were predicted, and how often predictions were right.

    sharp: number of true boundaries that are cuts. early: those of them predicted, in any state, within `EARLY_S`.
    provisional: number of boundaries that were provisional. retractions: those of them that were retracted.
    stability: (probability, true, confirmed) of every provisional decision. confidence: (probability, true) of every
    confirmation.
    """

    sharp: int
    early: int
    provisional: int
    retractions: int
    stability: tuple[tuple[float, bool, bool], ...]
    confidence: tuple[tuple[float, bool], ...]


def measure_timeliness(track: AnnotatedFile, history: tuple[BoundaryStateChange, ...]) -> TimelinessCounts:
    """Compare the boundary predictions for a track with the annotation; count early, retracted and true predictions.

    history: the decisions, in order. Boundaries about which the end of the stream decided are left out.
    """
    settled_at_end = {decision.boundary_id for decision in history if decision.at_end}
    start, end = track.spans[0].start, track.spans[-1].end
    is_mix = track.kind == "transitions"  # the annotation of a mix covers the whole file
    decisions = [
        decision
        for decision in history
        if decision.boundary_id not in settled_at_end and (decision.t is None or is_mix or start < decision.t < end)
    ]
    changes = (
        [(span.start, span.end) for span in track.spans]
        if is_mix
        else [(t, t) for t in scores.inner_boundaries(track.spans)]
    )
    sharp = [begins for begins, ends in changes if ends - begins < _SHARP_S]

    def is_true(t: float) -> bool:
        return any(begins - _MARGIN_S <= t <= ends + _MARGIN_S for begins, ends in changes)

    times = [(decision.t, decision.decided_t) for decision in decisions if decision.t is not None]
    confirmed_ids = {decision.boundary_id for decision in decisions if decision.state == "confirmed"}
    retracted_ids = {decision.boundary_id for decision in decisions if decision.state == "retracted"}
    provisional = [decision for decision in decisions if decision.state == "provisional"]
    provisional_ids = {decision.boundary_id for decision in provisional}
    return TimelinessCounts(
        sharp=len(sharp),
        early=sum(
            any(abs(t - cut) <= _MARGIN_S and decided_t - cut <= EARLY_S for t, decided_t in times) for cut in sharp
        ),
        provisional=len(provisional_ids),
        retractions=len(provisional_ids & retracted_ids),
        stability=tuple(
            (decision.probability, is_true(decision.t), decision.boundary_id in confirmed_ids)
            for decision in provisional
            if decision.t is not None
        ),
        confidence=tuple(
            (decision.probability, is_true(decision.t))
            for decision in decisions
            if decision.state == "confirmed" and decision.t is not None
        ),
    )


def make_reliability_diagrams(tracks: list[TimelinessCounts]) -> dict[str, ReliabilityDiagram]:
    """Pool the predictions of all tracks; return {title: reliability diagram}, one of confidence and two of stability.

    Confidence is compared with the annotation; stability with the annotation and, in a third diagram, with whether the
    boundary was confirmed.
    """
    stability = [row for track in tracks for row in track.stability]
    confidence = [row for track in tracks for row in track.confidence]
    return {
        "confidence": make_reliability_diagram([p for p, _ in confidence], [true for _, true in confidence]),
        "stability": make_reliability_diagram([p for p, _, _ in stability], [true for _, true, _ in stability]),
        "stability against being confirmed": make_reliability_diagram(
            [p for p, _, _ in stability], [is_confirmed for _, _, is_confirmed in stability]
        ),
    }


def summarise_timeliness(tracks: list[TimelinessCounts]) -> list[tuple[str, str, str]]:
    """Format the timeliness and the calibration errors of all tracks together as rows of (title, value, note or "")."""
    rows = []
    sharp, provisional = sum(track.sharp for track in tracks), sum(track.provisional for track in tracks)
    if sharp:
        rows.append((f"sharp changes reported within {EARLY_S:g} s", f"{sum(t.early for t in tracks) / sharp:.3f}", ""))
    if provisional:
        rows.append(("provisional, retracted", f"{sum(t.retractions for t in tracks) / provisional:.3f}", ""))
    for name, diagram in make_reliability_diagrams(tracks).items():
        if diagram.count:
            rows.append(
                (
                    f"calibration error of {name}",
                    f"{diagram.calibration_error:.3f}",
                    f"{sum(diagram.count)} predictions",
                )
            )
    return rows
