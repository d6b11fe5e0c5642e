"""Converts the blocks of a source to the sound that the engine analyses: mono at ENGINE_RATE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamseg.blocks import Block, Samples, SourceItem
from streamseg.engine.features.resampling import Resampler


def resample_to_mono(items: Iterable[SourceItem]) -> Iterator[Samples]:
    """Convert the audio blocks of a source to mono at 22,050 Hz; yield the samples block by block, float32 (n,).

    Items that are not blocks are skipped. All blocks must have the sample rate of the first one. The last array yielded
    is what the resampler still holds after the last block.
    """
    resampler: Resampler | None = None
    for item in items:
        if isinstance(item, Block):
            resampler = resampler or Resampler(item.sample_rate)
            yield resampler.push(item.samples)
    if resampler is not None:
        yield resampler.flush()
