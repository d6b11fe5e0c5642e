"""The product as a pipe: a source is an iterable of blocks, the result an iterable of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from streamseg.blocks import Block, Item, Samples
from streamseg.engine.segmenter import Segmenter
from streamseg.errors import AskedWrongly
from streamseg.events import Event
from streamseg.memory import Memory
from streamseg.settings import Settings
from streamseg.weights import ChangeModel


def segment(
    blocks: Iterable[Item | Samples],
    settings: Settings | None = None,
    *,
    sample_rate: int | None = None,
    model: ChangeModel | None = None,
    memory: Memory | None = None,
    telemetry: bool = False,
) -> Iterator[Event]:
    """Blocks of a source, or plain arrays of `sample_rate`, in; events out.

    The rate of a source's blocks is their own. Raises AskedWrongly when plain arrays come without a rate, or the
    rate changes on the way.
    """
    segmenter: Segmenter | None = None
    for item in blocks:
        rate = item.sample_rate if isinstance(item, Block) else sample_rate
        if segmenter is None:
            if rate is None:
                raise AskedWrongly("plain arrays do not tell their rate; pass sample_rate=…")
            segmenter = Segmenter(settings, sample_rate=rate, model=model, memory=memory, telemetry=telemetry)
        yield from segmenter.push(item) if isinstance(item, np.ndarray) else segmenter.feed(item)
    if segmenter is not None:
        yield from segmenter.finish()
