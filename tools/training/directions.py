"""Training of the directions that tell kinds of sound apart, which the boundary classifier takes as given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import STANDARDISED_DIMS
from streamseg.evaluation.annotations import LabelledSpan
from streamseg.evaluation.discriminant import fit_discriminant
from streamseg.evaluation.tracks import TrackTexture, step_to_time

Floats = NDArray[np.float64]
Grouping: TypeAlias = Callable[[LabelledSpan], object]

_EDGE_S = 1.0  # vectors this near to the ends of a span are left out


def fit_sound_classes(tracks: list[TrackTexture], dims: int = 5) -> Floats:
    """Fit the directions that separate speech, music, noise and the like; tracks: annotated programmes."""
    return _fit_directions(tracks, lambda span: span.label, dims)


def fit_singing_direction(tracks: list[TrackTexture]) -> Floats:
    """Fit the direction that separates sung sections (labels in capitals) from others."""
    return _fit_directions(tracks, lambda span: span.label.isupper(), 1)


def _fit_directions(tracks: list[TrackTexture], group_of: Grouping, dims: int) -> Floats:
    """Fit discriminant directions between groups of spans; shape (STANDARDISED_DIMS, dims)."""
    vectors: list[Floats] = []
    groups: list[NDArray[np.int64]] = []
    numbers: dict[object, int] = {}
    for track in tracks:
        at = step_to_time(np.arange(len(track.vectors)))
        for span in track.truth.segments:
            inside = (at > span.start + _EDGE_S) & (at < span.end - _EDGE_S)
            vectors.append(track.vectors[inside, :STANDARDISED_DIMS])
            groups.append(np.full(np.count_nonzero(inside), numbers.setdefault(group_of(span), len(numbers))))
    return fit_discriminant(np.concatenate(vectors), np.concatenate(groups), dims)
