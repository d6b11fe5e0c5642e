"""Scores sound classes: speech, music and silence, each by itself, on a grid of half seconds.

The annotation has segments of the labels in `TRUTH_CLASSES`: talk over music is speech and music, a jingle is music,
noise is none of the three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.annotations import LabelledSpan
from streamseg.wire.events import SoundChanged

GRID_S = 0.5
KINDS = ("speech", "music", "silence")
TRUTH_CLASSES: dict[str, tuple[bool, bool, bool]] = {
    "speech": (True, False, False),
    "music": (False, True, False),
    "jingle": (False, True, False),
    "speech_over_music": (True, True, False),
    "silence": (False, False, True),
    "noise": (False, False, False),
}
_LATE_S = 10.0  # a predicted change later than this after the true one is another change

ClassGrid = NDArray[np.bool_]  # shape (cells, 3), a column for each of KINDS


@dataclass(frozen=True, slots=True)
class ProgrammeToScore:
    """A broadcast programme before scoring: its annotation, and the predicted changes of speech, music and silence."""

    truth: tuple[LabelledSpan, ...]
    predictions: tuple[SoundChanged, ...]


def is_programme(spans: tuple[LabelledSpan, ...]) -> bool:
    """Return whether the spans annotate a broadcast programme: all labels are sound classes such as `speech`, `jingle`.

    The sound classes are the keys of `TRUTH_CLASSES`. False without spans.
    """
    return bool(spans) and {span.label for span in spans} <= set(TRUTH_CLASSES)


def sample_truth_on_grid(spans: tuple[LabelledSpan, ...]) -> ClassGrid:
    """Return for each half second whether speech, music and silence are annotated: bool, shape (half seconds, 3).

    A cell is GRID_S long and sampled at its middle; the cells cover the annotation. The columns are KINDS.
    """
    middles = _cell_middles(spans)
    which = np.searchsorted([span.start for span in spans], middles, side="right") - 1
    return np.array([TRUTH_CLASSES[span.label] for span in spans])[which]


def sample_predictions_on_grid(predictions: tuple[SoundChanged, ...], spans: tuple[LabelledSpan, ...]) -> ClassGrid:
    """Return for each half second whether speech, music and silence are predicted: bool, shape (half seconds, 3).

    spans: the annotation; the cells are those of `sample_truth_on_grid`. A prediction holds from its `t` until the next
    one; before the first there is no class.
    """
    middles = _cell_middles(spans)
    which = np.searchsorted([change.t for change in predictions], middles, side="right")
    states = np.array(
        [(False, False, False), *((change.speech, change.music, change.silence) for change in predictions)]
    )
    return states[which]


def measure_decision_delays(programme: ProgrammeToScore) -> list[float]:
    """Return the seconds from each true change of speech, music or silence to its decision, missed changes excluded."""
    delays = []
    for k, kind in enumerate(KINDS):
        before = False
        for span in programme.truth:
            now = TRUTH_CLASSES[span.label][k]
            if now != before:
                delay = next(
                    (
                        change.decided_t - span.start
                        for change in programme.predictions
                        if getattr(change, kind) == now and span.start - GRID_S <= change.t < span.start + _LATE_S
                    ),
                    None,
                )
                if delay is not None:
                    delays.append(max(0.0, delay))
            before = now
    return delays


def summarise_sound_class(programmes: list[ProgrammeToScore]) -> list[tuple[str, str, str]]:
    """Format the scores of all programmes together as rows of (title, value, ""); [] if there are no programmes."""
    if not programmes:
        return []
    true = np.vstack([sample_truth_on_grid(programme.truth) for programme in programmes])
    prediction = np.vstack(
        [sample_predictions_on_grid(programme.predictions, programme.truth) for programme in programmes]
    )
    rows = []
    for k, kind in enumerate(KINDS):
        both, either = np.sum(true[:, k] & prediction[:, k]), np.sum(true[:, k]) + np.sum(prediction[:, k])
        rows.append((f"{kind}, F1", f"{2 * both / either:.3f}" if either else "none", ""))
    noise = np.concatenate([_label_mask(programme.truth, "noise") for programme in programmes])
    over = true[:, 0] & true[:, 1]
    for title, cells, k in (("noise heard as speech", noise, 0), ("talk over music heard as music", over, 1)):
        if cells.any():
            rows.append((title, f"{prediction[cells, k].mean():.3f}", ""))
    delays = [delay for programme in programmes for delay in measure_decision_delays(programme)]
    if delays:
        rows.append(("kind of sound, delay median", f"{np.median(delays):.1f} s", ""))
    return rows


def _cell_middles(spans: tuple[LabelledSpan, ...]) -> NDArray[np.float64]:
    return np.arange(spans[0].start + GRID_S / 2, spans[-1].end, GRID_S)


def _label_mask(spans: tuple[LabelledSpan, ...], label: str) -> NDArray[np.bool_]:
    which = np.searchsorted([span.start for span in spans], _cell_middles(spans), side="right") - 1
    return np.array([span.label == label for span in spans])[which]
