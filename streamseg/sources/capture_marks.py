"""The marks of a capture: gaps, absences and titles in a text file beside it, merged with the samples on replay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from streamseg.blocks import Block, Gap, SourceAway, SourceItem, Title
from streamseg.errors import SourceError

NonSoundItem: TypeAlias = Gap | SourceAway | Title
_KINDS: dict[str, type[NonSoundItem]] = {"gap": Gap, "away": SourceAway, "title": Title}
_MAX_LINE_BYTES: Final = 1 << 20
_MAX_GAP_SAMPLES: Final = 366 * 86_400 * 768_000  # a year at the highest rate
_MAX_SAMPLE: Final = 1 << 62


class _CaptureMark(msgspec.Struct):
    """One line of the file of marks."""

    sample: int
    kind: str
    fields: dict[str, Any]


def capture_marks_path(path: Path) -> Path:
    """Return the path of the marks of a capture. path: of the WAV file."""
    return path.with_name(path.name + ".marks.jsonl")


def format_mark(item: NonSoundItem, sample: int) -> bytes:
    """Format the line of an item. sample: number of samples (per channel) before it."""
    kind = next(kind for kind, item_type in _KINDS.items() if isinstance(item, item_type))
    mark = {"sample": sample, "kind": kind, "fields": msgspec.to_builtins(item)}
    return msgspec.json.encode(mark) + b"\n"


def read_capture_marks(path: Path) -> Iterator[tuple[int, NonSoundItem]]:
    """Yield each item of a file of marks with the number of samples before it, in order.

    Raises SourceError, which names the file and the line, at the first invalid line.
    """
    last_sample = 0
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                try:
                    sample, item = _parse_mark(line, last_sample)
                except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                    raise SourceError(
                        f"{path}, line {number} is not a mark of a capture: {error}; "
                        "mend the file, or move it away to hear the sound without its gaps"
                    ) from None
                last_sample = sample
                yield sample, item
    except OSError as error:
        raise SourceError(f"the marks {path} cannot be read: {error.strerror}") from None


def _parse_mark(line: bytes, last_sample: int) -> tuple[int, NonSoundItem]:
    """Parse a line. last_sample: of the line before. Raises ValueError."""
    mark = msgspec.json.decode(line, type=_CaptureMark)
    if not last_sample <= mark.sample <= _MAX_SAMPLE:
        raise ValueError(f"sample {mark.sample}, after sample {last_sample}")
    if mark.kind not in _KINDS:
        raise ValueError(f"kind {mark.kind!r}; known are {', '.join(_KINDS)}")
    item = msgspec.convert(mark.fields, _KINDS[mark.kind])
    match item:
        case Gap(missing_samples=missing) if not 0 <= missing <= _MAX_GAP_SAMPLES:
            raise ValueError(f"a gap of {missing} samples; 0 to {_MAX_GAP_SAMPLES} are possible")
        case SourceAway(away_s=away_s) if not (math.isfinite(away_s) and away_s >= 0):
            raise ValueError(f"away for {away_s} s")
    return mark.sample, item


def replay_capture(blocks: Iterable[SourceItem], path: Path) -> Iterator[SourceItem]:
    """Merge the blocks of a capture with its marks, each at its sample. path: of the WAV file.

    Raises SourceError, before the first block, when the marks are damaged.
    """
    for _ in read_capture_marks(capture_marks_path(path)):
        pass
    marks = read_capture_marks(capture_marks_path(path))
    mark = next(marks, None)
    position = 0
    for block in blocks:
        if not isinstance(block, Block):
            yield block
            continue
        samples = block.samples
        while mark is not None and mark[0] <= position + len(samples):
            count = mark[0] - position
            if count:
                yield Block(samples[:count], block.sample_rate)
            samples = samples[count:]
            position += count
            yield mark[1]
            mark = next(marks, None)
        if len(samples):
            yield Block(samples, block.sample_rate)
            position += len(samples)
    while mark is not None:
        yield mark[1]
        mark = next(marks, None)
