"""The items that a source yields: blocks of samples, gaps, interruptions and titles.

A saved recording yields the same items as the source that it was made from, so it gives the same events.
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
    """Consecutive samples of all channels.

    samples: shape (n, channels), float32, full scale ±1.
    sample_rate: Hz.
    captured_at: Unix time in seconds at which the last sample arrived; None when the source is not live.
    """

    samples: Samples
    sample_rate: int
    captured_at: float | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap in the sound. missing_samples: per channel, at the sample rate of the source."""

    missing_samples: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class SourceAway:
    """The source is unavailable and being reopened; with `back`, it is available again, after `away_s` seconds."""

    reason: str
    back: bool = False
    away_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Title:
    """A title that a radio station announced; it is valid from the next sample on."""

    title: str


SourceItem: TypeAlias = Block | Gap | SourceAway | Title


class Source(Protocol):
    """An iterable of sound: yields items until the source ends or `close` is called.

    Both end the iteration without an error. A source that ends too early raises `TruncatedSourceError` after its last
    block.
    """

    @property
    def name(self) -> str:
        """The source as the user wrote it (`mic:USB`, a path, `-`)."""

    @property
    def dropped_samples(self) -> int:
        """Samples per channel that were lost so far; all of them are yielded as `Gap`."""

    def __iter__(self) -> Iterator[SourceItem]: ...

    def close(self) -> None:
        """End the iteration, from any thread."""
