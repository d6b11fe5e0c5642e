"""Reads annotated sound: a folder of sound files with tab-separated annotation beside each.

`NAME.transitions.tsv` (start, end, `kind:from>to`) lists the transitions between the tracks of a mix;
`NAME.sections.tsv` and `NAME.segments.tsv` (start, end, label) cover the file. The label `_` means "not labelled";
such spans are not scored.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from streamseg.errors import SourceNotFoundError, UsageError

TruthKind: TypeAlias = Literal["auto", "sections", "transitions", "segments"]
_SOUND_ENDINGS = (".ogg", ".flac", ".wav", ".mp3", ".m4a", ".opus", ".aac")
_PREFERENCE = ("transitions", "sections", "segments")
_NO_LABEL = "_"
_EXPECTED_ROW = "expected start, end (seconds) and label, separated by tabs"
_END_TOLERANCE_S = 5.0  # annotations made with another copy of the sound may end a few seconds later


@dataclass(frozen=True, slots=True)
class LabelledSpan:
    """A labelled part of a sound file, from `start` to `end` in stream seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class AnnotatedFile:
    """A sound file with its annotation: labelled spans, and their kind (sections, segments or transitions).

    audio: the sound file. spans: sections, segments or transitions, in order, against which boundaries are scored.
    segments: labelled spans against which labels are scored; empty if there are none.
    """

    audio: Path
    kind: Literal["sections", "transitions", "segments"]
    spans: tuple[LabelledSpan, ...]
    segments: tuple[LabelledSpan, ...]


def read_spans(path: Path) -> tuple[LabelledSpan, ...]:
    """Read an annotation file; return a span for each row of start, end (seconds) and label, separated by tabs.

    Raises UsageError, which names the line, for a row of another form, and for a file that is not UTF-8.
    """
    spans = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file, delimiter="\t"), 1):
                try:
                    spans.append(LabelledSpan(float(row[0]), float(row[1]), row[2]))
                except (ValueError, IndexError):
                    content = f"found {row}" if row else "found an empty line"
                    raise _make_line_error(path, number, f"{_EXPECTED_ROW}; {content}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; save it in that encoding") from None
    return tuple(spans)


def check_annotation_within_sound(file: AnnotatedFile, duration_s: float) -> None:
    """Raise UsageError, which names the line, if the annotation has a span that ends more than 5 s after the sound.

    duration_s: length of the sound.
    """
    has_two_annotations = file.kind == "transitions" and file.segments
    for kind in (file.kind, "segments") if has_two_annotations else (file.kind,):
        path = file.audio.with_suffix(f".{kind}.tsv")
        for number, span in enumerate(read_spans(path), 1):
            if span.end > duration_s + _END_TOLERANCE_S:
                sound = f"{file.audio.name} is only about {duration_s:.0f} s long"
                raise _make_line_error(path, number, f"ends at {span.end:g} s, but {sound}; correct the end")


def drop_unlabelled_spans(spans: tuple[LabelledSpan, ...]) -> tuple[LabelledSpan, ...]:
    """Return the spans without those whose label is `_` (not labelled)."""
    return tuple(span for span in spans if span.label != _NO_LABEL)


def list_sound_and_annotation_files(folder: Path) -> list[Path]:
    """List the sound files and annotation files of a folder, sorted by path; [] if the folder is missing."""
    endings = (*_SOUND_ENDINGS, ".tsv")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings) if folder.is_dir() else []


def find_annotated_files(folder: Path, truth: TruthKind = "auto") -> list[AnnotatedFile]:
    """Find the sound files of a folder that have an annotation, and read it; return the files sorted by name.

    truth: the kind of annotation; "auto" takes for each file the first of transitions, sections, segments that exists.
    Raises SourceNotFoundError when the folder is missing or has none, UsageError when an annotation cannot be scored.
    """
    if not folder.is_dir():
        raise SourceNotFoundError(f"no folder {folder}")
    files = []
    for audio in sorted(path for path in folder.iterdir() if path.suffix.lower() in _SOUND_ENDINGS):
        kinds = _PREFERENCE if truth == "auto" else (truth,)
        kind = next((kind for kind in kinds if audio.with_suffix(f".{kind}.tsv").exists()), None)
        if kind is None:
            continue
        spans = _read_annotation(audio.with_suffix(f".{kind}.tsv"), is_of_transitions=kind == "transitions")
        segments = spans
        if kind == "transitions":
            path = audio.with_suffix(".segments.tsv")
            segments = _read_annotation(path) if path.exists() else ()
        files.append(AnnotatedFile(audio, kind, spans, segments))  # type: ignore[arg-type]
    if not files:
        names = " or ".join(f"NAME.{kind}.tsv" for kind in (_PREFERENCE if truth == "auto" else (truth,)))
        raise SourceNotFoundError(f"no annotated sound in {folder}: looked for sound files with {names} beside them")
    return files


def _read_annotation(path: Path, *, is_of_transitions: bool = False) -> tuple[LabelledSpan, ...]:
    """Read the labelled spans of an annotation file. Raises UsageError, which names the line, if they make no sense.

    A transition may end where it starts; a section or a segment may not.
    """
    spans = read_spans(path)
    latest_start = 0.0
    for number, span in enumerate(spans, 1):
        reason = ""
        if not (math.isfinite(span.start) and math.isfinite(span.end) and span.start >= 0):
            reason = (
                f"{span.start:g} to {span.end:g} is no part of a sound; times are seconds from its start, 0 or more"
            )
        elif span.end < span.start or (span.end == span.start and not is_of_transitions):
            reason = f"starts at {span.start:g} s and ends at {span.end:g} s; the end must be after the start"
        elif span.start < latest_start:
            reason = f"starts at {span.start:g} s, before the line above ({latest_start:g} s); sort the lines by start"
        if reason:
            raise _make_line_error(path, number, reason)
        latest_start = span.start
    labelled_spans = drop_unlabelled_spans(spans)
    if not labelled_spans:
        content = f"all labels are {_NO_LABEL} (not labelled)" if spans else "the file is empty"
        raise _make_line_error(path, 1, f"{_EXPECTED_ROW}; {content}")
    return labelled_spans


def _make_line_error(path: Path, number: int, reason: str) -> UsageError:
    return UsageError(f"{path}, line {number}: {reason}")
