"""The protocol of a source, and the items that it yields: blocks of samples, gaps, interruptions and titles.

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
    """A block of sound from a source: consecutive samples of all channels.

    samples: shape (n, channels), float32, full scale ±1.
    sample_rate: Hz.
    captured_at: Unix time in seconds at which the last sample arrived; None when the source is not live.
    """

    samples: Samples
    sample_rate: int
    captured_at: float | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A source yields this where samples were lost between two blocks.

    missing_samples: their number per channel, at the sample rate of the source. cause: why they were lost.
    """

    missing_samples: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class SourceAvailabilityChange:
    """A source yields this when it becomes unavailable, and again, with `back=True`, when it is available again.

    reason: why it became unavailable, for people; empty with `back`. away_s: with `back`, how long it was unavailable,
    seconds.
    """

    reason: str
    back: bool = False
    away_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Title:
    """The title of a programme or a song, as a radio station announced it; it applies from the next sample on."""

    title: str


SourceItem: TypeAlias = Block | Gap | SourceAvailabilityChange | Title


class Source(Protocol):
    """The interface of a source of sound: iterating over it yields blocks until the sound ends or `close` is called.

    Between blocks it may yield `Gap`, `SourceAvailabilityChange` and `Title`. In both cases the iteration ends without
    an error. A source that ends too early raises `TruncatedSourceError` after its last block.
    """

    @property
    def name(self) -> str:
        """The name of the source, as the user wrote it: `mic:USB`, the path of a file, or `-` for standard input."""

    @property
    def dropped_samples(self) -> int:
        """The number of samples per channel that were lost so far. Each loss is also yielded as a `Gap`."""

    def __iter__(self) -> Iterator[SourceItem]: ...

    def close(self) -> None:
        """Close the source, so that an iteration over it ends without an error. Any thread may call this."""
