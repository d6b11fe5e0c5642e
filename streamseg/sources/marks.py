"""What is no sound in a capture: marks in a text file beside it, put back between the samples when it is replayed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from streamseg.blocks import Away, Block, Gap, Item, Title
from streamseg.errors import SourceFailed

MarkedItem: TypeAlias = Gap | Away | Title
_KINDS: dict[str, type[MarkedItem]] = {"gap": Gap, "away": Away, "title": Title}
_LONGEST_LINE: Final = 1 << 20  # bytes
_LONGEST_GAP: Final = 366 * 86_400 * 768_000  # samples: a year at the highest rate
_LAST_SAMPLE: Final = 1 << 62


class _Mark(msgspec.Struct):
    """One line of the file beside a capture."""

    sample: int
    kind: str
    fields: dict[str, Any]


def marks_path(path: Path) -> Path:
    """Where the marks of a capture lie."""
    return path.with_name(path.name + ".marks.jsonl")


def mark_line(item: MarkedItem, sample: int) -> bytes:
    """The line that says: this came after so many samples (per channel)."""
    kind = next(kind for kind, its_type in _KINDS.items() if isinstance(item, its_type))
    mark = {"sample": sample, "kind": kind, "fields": msgspec.to_builtins(item)}
    return msgspec.json.encode(mark) + b"\n"


def read_marks(path: Path) -> Iterator[tuple[int, MarkedItem]]:
    """Each mark of a file of marks with the number of samples before it, in order.

    Raises SourceFailed, which names the file and the line, at the first that cannot be.
    """
    before = 0
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                try:
                    sample, item = _read_mark(line, before)
                except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                    raise SourceFailed(
                        f"{path}, line {number} is not a mark of a capture: {error}; "
                        "mend the file, or move it away to hear the sound without its gaps"
                    ) from None
                before = sample
                yield sample, item
    except OSError as error:
        raise SourceFailed(f"the marks {path} cannot be read: {error.strerror}") from None


def _read_mark(line: bytes, before: int) -> tuple[int, MarkedItem]:
    """Raises ValueError."""
    mark = msgspec.json.decode(line, type=_Mark)
    if not before <= mark.sample <= _LAST_SAMPLE:
        raise ValueError(f"sample {mark.sample}, after sample {before}")
    if mark.kind not in _KINDS:
        raise ValueError(f"kind {mark.kind!r}; known are {', '.join(_KINDS)}")
    item = msgspec.convert(mark.fields, _KINDS[mark.kind])
    match item:
        case Gap(missing_samples=missing) if not 0 <= missing <= _LONGEST_GAP:
            raise ValueError(f"a gap of {missing} samples; 0 to {_LONGEST_GAP} are possible")
        case Away(away_s=away_s) if not (math.isfinite(away_s) and away_s >= 0):
            raise ValueError(f"away for {away_s} s")
    return mark.sample, item


def replay(blocks: Iterable[Item], path: Path) -> Iterator[Item]:
    """The blocks of a capture with its marks between the samples where they were.

    Raises SourceFailed, before the first block, when the marks are damaged.
    """
    for _ in read_marks(marks_path(path)):
        pass
    marks = read_marks(marks_path(path))
    mark = next(marks, None)
    position = 0
    for block in blocks:
        if not isinstance(block, Block):
            yield block
            continue
        samples = block.samples
        while mark is not None and mark[0] <= position + len(samples):
            before = mark[0] - position
            if before:
                yield Block(samples[:before], block.sample_rate)
            samples = samples[before:]
            position += before
            yield mark[1]
            mark = next(marks, None)
        if len(samples):
            yield Block(samples, block.sample_rate)
            position += len(samples)
    while mark is not None:
        yield mark[1]
        mark = next(marks, None)
