"""Segments an iterable of blocks: the product as a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from streamseg.blocks import Block, Samples, SourceItem
from streamseg.engine.models.weights import BoundaryModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.segmenter import Segmenter
from streamseg.errors import UsageError
from streamseg.settings import Settings
from streamseg.wire.events import Event


def segment(
    blocks: Iterable[SourceItem | Samples],
    settings: Settings | None = None,
    *,
    sample_rate: int | None = None,
    model: BoundaryModel | None = None,
    memory: NamedSounds | None = None,
    telemetry: bool = False,
) -> Iterator[Event]:
    """Yield the events of a source's items, or of plain arrays, in order.

    blocks: items of a source, or arrays of shape (n,) or (n, channels), full scale ±1. sample_rate: of plain arrays,
    Hz; a source's blocks have their own. memory: named sounds of earlier runs. All else as in `Segmenter`.
    Raises UsageError when plain arrays come without a rate.
    """
    segmenter: Segmenter | None = None
    for item in blocks:
        rate = item.sample_rate if isinstance(item, Block) else sample_rate
        if segmenter is None:
            if rate is None:
                raise UsageError("plain arrays do not tell their rate; pass sample_rate=…")
            segmenter = Segmenter(settings, sample_rate=rate, model=model, named_sounds=memory, telemetry=telemetry)
        yield from segmenter.push(item) if isinstance(item, np.ndarray) else segmenter.push_item(item)
    if segmenter is not None:
        yield from segmenter.finish()
