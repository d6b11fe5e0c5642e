"""Reads and writes the marks of a capture: its gaps, absences and titles, in a text file beside the WAV file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from streamseg.blocks import Block, Gap, SourceAvailabilityChange, SourceItem, Title
from streamseg.errors import SourceError

NonSoundItem: TypeAlias = Gap | SourceAvailabilityChange | Title
_KINDS: dict[str, type[NonSoundItem]] = {"gap": Gap, "away": SourceAvailabilityChange, "title": Title}
_MAX_LINE_BYTES: Final = 1 << 20
_MAX_GAP_SAMPLES: Final = 366 * 86_400 * 768_000  # a year at the highest rate
_MAX_SAMPLE: Final = 1 << 62


class CaptureMark(NamedTuple):
    """A gap, a time without the source, or a title in a saved recording, with the number of samples before it."""

    sample: int
    item: NonSoundItem


class _MarkLine(msgspec.Struct):
    """The JSON object of one line in a file of marks."""

    sample: int
    kind: str
    fields: dict[str, Any]


def capture_marks_path(capture_path: Path) -> Path:
    """Return the path of the marks file that belongs to a capture (a WAV file). Neither file need exist."""
    return capture_path.with_name(capture_path.name + ".marks.jsonl")


def format_mark_line(item: NonSoundItem, sample: int) -> bytes:
    """Format a gap, a loss or return of the source, or a title as one JSON line of a marks file.

    sample: the number of samples (per channel) before the item.
    """
    kind = next(kind for kind, item_type in _KINDS.items() if isinstance(item, item_type))
    mark = {"sample": sample, "kind": kind, "fields": msgspec.to_builtins(item)}
    return msgspec.json.encode(mark) + b"\n"


def read_capture_marks(marks_path: Path) -> Iterator[CaptureMark]:
    """Read the marks of a capture from its marks file, and yield them in order.

    marks_path: see `capture_marks_path`.
    Raises SourceError, which names the file and the line, at the first invalid line.
    """
    last_sample = 0
    try:
        with marks_path.open("rb") as file:
            number = 0
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                try:
                    mark = _parse_mark(line, last_sample)
                except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                    raise SourceError(
                        f"{marks_path}, line {number} is not a mark of a capture: {error}; "
                        "mend the file, or move it away to hear the sound without its gaps"
                    ) from None
                last_sample = mark.sample
                yield mark
    except OSError as error:
        raise SourceError(f"the marks {marks_path} cannot be read: {error.strerror}") from None


def _parse_mark(line: bytes, last_sample: int) -> CaptureMark:
    """Parse one line of a file of marks. last_sample: `sample` of the line before. Raises ValueError."""
    mark = msgspec.json.decode(line, type=_MarkLine)
    if not last_sample <= mark.sample <= _MAX_SAMPLE:
        raise ValueError(f"sample {mark.sample}, after sample {last_sample}")
    if mark.kind not in _KINDS:
        raise ValueError(f"kind {mark.kind!r}; known are {', '.join(_KINDS)}")
    item = msgspec.convert(mark.fields, _KINDS[mark.kind])
    match item:
        case Gap(missing_samples=missing) if not 0 <= missing <= _MAX_GAP_SAMPLES:
            raise ValueError(f"a gap of {missing} samples; 0 to {_MAX_GAP_SAMPLES} are possible")
        case SourceAvailabilityChange(away_s=away_s) if not (math.isfinite(away_s) and away_s >= 0):
            raise ValueError(f"away for {away_s} s")
    return CaptureMark(mark.sample, item)


def merge_capture_marks(blocks: Iterable[SourceItem], capture_path: Path) -> Iterator[SourceItem]:
    """Yield the blocks of a capture, and between them the gaps, absences and titles from its marks file.

    blocks: the decoded WAV file; a block is divided where a mark lies inside it. capture_path: of the WAV file.
    Raises SourceError, before the first block, when the file of marks is damaged.
    """
    for _ in read_capture_marks(capture_marks_path(capture_path)):
        pass
    marks = read_capture_marks(capture_marks_path(capture_path))
    mark = next(marks, None)
    position = 0
    for block in blocks:
        if not isinstance(block, Block):
            yield block
            continue
        samples = block.samples
        while mark is not None and mark.sample <= position + len(samples):
            count = mark.sample - position
            if count:
                yield Block(samples[:count], block.sample_rate)
            samples = samples[count:]
            position += count
            yield mark.item
            mark = next(marks, None)
        if len(samples):
            yield Block(samples, block.sample_rate)
            position += len(samples)
    while mark is not None:
        yield mark.item
        mark = next(marks, None)
