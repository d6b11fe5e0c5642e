"""Tracks as they come back in a mix: first a long part, later another part of the same, each faded into and out of.

What `evaluation.train_labels tracks` learns from: the sound is joined as `mixes` joins it, then heard by the engine's
own features, so that what a fade does to texture is what it does in truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import Features
from streamseg.engine.texture import Texture
from streamseg.evaluation.generated import RATE
from streamseg.evaluation.generated.mixes import Samples, Source, equalised, equaliser, joined

Floats = NDArray[np.float64]

_TIMES = 8  # each track comes back
_OTHER_S = 20.0  # of what is heard before, and after
_LEAST_S, _MOST_S = 60.0, 180.0  # of the first part
_AGAIN_S = 40.0  # of the part that comes back there must be
_HEARD_S = 26.0  # of it are heard
_CUT_SHARE = 0.25
_LINEAR_SHARE = 0.45


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a track among others. vectors: texture; start, end: seconds, the middles of its fades."""

    vectors: Floats
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Return:
    """A track's long part, and two short ones of what is left of it, equalised alike."""

    before: Part
    again: tuple[Part, Part]


def texture(samples: Samples) -> Floats:
    """All texture vectors, shape (n, VECTOR_DIMS)."""
    features, vectors = Features(), Texture()
    minutes = (samples[i : i + 60 * RATE] for i in range(0, len(samples), 60 * RATE))
    return np.array([vector for minute in minutes for _, vector in vectors.push(features.push(minute))])


class Returns:
    """Cuts tracks into parts by chance, and puts other tracks around them."""

    def __init__(self, tracks: Sequence[Source], seed: int) -> None:
        self._tracks = tracks
        self._rng = np.random.default_rng(seed)

    def of(self, track: Source) -> Iterator[Return]:
        """Some of one track; none where too little is left beside its first part."""
        rng, whole_s = self._rng, len(track.samples) / RATE
        for _ in range(_TIMES):
            length_s = float(rng.uniform(_LEAST_S, _MOST_S))
            length_s = max(min(_LEAST_S, whole_s), min(length_s, whole_s - _AGAIN_S))
            start_s = float(rng.uniform(0, whole_s - length_s))
            left = max(((0.0, start_s), (start_s + length_s, whole_s)), key=lambda part: part[1] - part[0])
            if left[1] - left[0] < _AGAIN_S:
                continue
            production = equaliser(rng)
            before = self._part(track, start_s, length_s, production, heard_s=np.inf)
            again_s = [float(rng.uniform(left[0], left[1] - _AGAIN_S)) for _ in range(2)]
            first, second = (self._part(track, at, _AGAIN_S, production, heard_s=_HEARD_S) for at in again_s)
            yield Return(before, (first, second))

    def _part(self, track: Source, start_s: float, length_s: float, production: Floats | None, heard_s: float) -> Part:
        rng = self._rng
        sound = self._excerpt(track, start_s, length_s, production)
        length_s = len(sound) / RATE
        sounds, fades_s = [self._another(track), sound], [self._fade_s()]
        if heard_s == np.inf:
            sounds.append(self._another(track))
            fades_s.append(self._fade_s())
        whole = sounds[0]
        for following, fade_s in zip(sounds[1:], fades_s, strict=True):
            kind = "linear" if rng.random() < _LINEAR_SHARE else "equalpower"
            whole = joined(whole, following, int(fade_s * RATE), kind)
        start = _OTHER_S - fades_s[0] / 2
        end = min(start - fades_s[0] / 2 + length_s - fades_s[-1] / 2, start + heard_s)  # the middles of both fades
        return Part(texture(whole[: int((start + min(heard_s, len(whole))) * RATE)]), start, end)

    def _another(self, track: Source) -> Samples:
        other = track
        while other is track:
            other = self._tracks[int(self._rng.integers(len(self._tracks)))]
        at_s = float(self._rng.uniform(0, len(other.samples) / RATE - _OTHER_S))
        return self._excerpt(other, at_s, _OTHER_S, equaliser(self._rng))

    def _excerpt(self, track: Source, start_s: float, length_s: float, production: Floats | None) -> Samples:
        piece = track.samples[int(start_s * RATE) : int((start_s + length_s) * RATE)]
        return equalised(piece, production) * np.float32(10 ** (self._rng.uniform(-1.5, 1.5) / 20))

    def _fade_s(self) -> float:
        return 0.0 if self._rng.random() < _CUT_SHARE else float(self._rng.uniform(2, 16))
