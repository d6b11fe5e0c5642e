"""Segments an iterable of blocks or arrays into an iterator of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from streamseg.blocks import Block, Samples, SourceItem
from streamseg.engine.models.weights import BoundaryModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.segmenter import Segmenter
from streamseg.errors import UsageError
from streamseg.settings import Settings
from streamseg.wire.events import Event, StreamStarted


def segment(
    blocks: Iterable[SourceItem | Samples],
    settings: Settings | None = None,
    *,
    sample_rate: int | None = None,
    model: BoundaryModel | None = None,
    named_sounds: NamedSounds | None = None,
    telemetry: bool = False,
) -> Iterator[Event]:
    """Process items of a source, or plain arrays, as one stream; yield boundaries, sections and other events in order.

    blocks: items of a source, or arrays of shape (n,) or (n, channels), full scale ±1.
    settings: those of the profile `music` if None. sample_rate: of plain arrays, Hz; the blocks of a source have their
    own. model: of the boundary classifier; None for the one shipped for the profile. named_sounds: sections and jingles
    of earlier runs to recognise, None for none. telemetry: also yield `meter` and `novelty` events.
    Raises UsageError when plain arrays come without a rate.
    """
    segmenter: Segmenter | None = None
    items_before_sound: list[SourceItem] = []
    for item in blocks:
        if segmenter is not None:
            yield from _push(segmenter, item)
            continue
        if not isinstance(item, Block | np.ndarray):
            items_before_sound.append(item)
            continue
        rate = item.sample_rate if isinstance(item, Block) else sample_rate
        if rate is None:
            raise UsageError("plain arrays do not tell their rate; pass sample_rate=…")
        segmenter = Segmenter(settings, sample_rate=rate, model=model, named_sounds=named_sounds, telemetry=telemetry)
        events = [event for each in (*items_before_sound, item) for event in _push(segmenter, each)]
        yield from sorted(events, key=lambda event: not isinstance(event.data, StreamStarted))  # it is the first event
    if segmenter is not None:
        yield from segmenter.finish()


def _push(segmenter: Segmenter, item: SourceItem | Samples) -> list[Event]:
    return segmenter.push(item) if isinstance(item, np.ndarray) else segmenter.push_item(item)
