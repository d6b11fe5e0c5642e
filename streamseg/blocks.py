"""What comes in at the door: blocks of samples, gaps, and titles.

A source is an iterable of these three; so is a recorded stream, which is why it replays exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
GapCause: TypeAlias = Literal["overflow", "device-lost", "network", "stalled"]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples.

    samples: float32, shape (n, channels), full scale ±1.
    sample_rate: Hz.
    captured_at: wall clock (Unix seconds) at which the last sample arrived; None when nobody waited for it.
    """

    samples: Samples
    sample_rate: int
    captured_at: float | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """So many samples (per channel, at the source's rate) are missing here."""

    missing_samples: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class SourceAway:
    """The source went away and is being tried again; `back` says that it has returned."""

    reason: str
    back: bool = False
    away_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Title:
    """The station announced a title; it belongs to the sample that follows."""

    title: str


SourceItem: TypeAlias = Block | Gap | SourceAway | Title


class Source(Protocol):
    """Where sound comes from.

    Iterating yields items until the source ends or `close` is called (from any thread); both end the
    iteration cleanly. A source that ends before it should raises `TruncatedSourceError` after its last block.
    """

    @property
    def name(self) -> str:
        """Where the sound comes from, as the user wrote it (`mic:USB`, a path, `-`)."""

    @property
    def dropped_samples(self) -> int:
        """Samples (per channel) lost so far, all of them said as `Gap`."""

    def __iter__(self) -> Iterator[SourceItem]: ...

    def close(self) -> None:
        """End the iteration, from any thread."""
