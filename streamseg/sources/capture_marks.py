"""What is no sound in a capture: marks in a text file beside it, put back between the samples when it is replayed."""

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
_MAX_LINE_BYTES: Final = 1 << 20  # bytes
_MAX_GAP_SAMPLES: Final = 366 * 86_400 * 768_000  # samples: a year at the highest rate
_MAX_SAMPLE: Final = 1 << 62


class _CaptureMark(msgspec.Struct):
    """One line of the file beside a capture."""

    sample: int
    kind: str
    fields: dict[str, Any]


def capture_marks_path(path: Path) -> Path:
    """Where the marks of a capture lie."""
    return path.with_name(path.name + ".marks.jsonl")


def format_mark(item: NonSoundItem, sample: int) -> bytes:
    """The line that says: this came after so many samples (per channel)."""
    kind = next(kind for kind, its_type in _KINDS.items() if isinstance(item, its_type))
    mark = {"sample": sample, "kind": kind, "fields": msgspec.to_builtins(item)}
    return msgspec.json.encode(mark) + b"\n"


def read_capture_marks(path: Path) -> Iterator[tuple[int, NonSoundItem]]:
    """Each mark of a file of marks with the number of samples before it, in order.

    Raises SourceFailed, which names the file and the line, at the first that cannot be.
    """
    before = 0
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                try:
                    sample, item = _read_mark(line, before)
                except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                    raise SourceError(
                        f"{path}, line {number} is not a mark of a capture: {error}; "
                        "mend the file, or move it away to hear the sound without its gaps"
                    ) from None
                before = sample
                yield sample, item
    except OSError as error:
        raise SourceError(f"the marks {path} cannot be read: {error.strerror}") from None


def _read_mark(line: bytes, before: int) -> tuple[int, NonSoundItem]:
    """Raises ValueError."""
    mark = msgspec.json.decode(line, type=_CaptureMark)
    if not before <= mark.sample <= _MAX_SAMPLE:
        raise ValueError(f"sample {mark.sample}, after sample {before}")
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
    """The blocks of a capture with its marks between the samples where they were.

    Raises SourceFailed, before the first block, when the marks are damaged.
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
