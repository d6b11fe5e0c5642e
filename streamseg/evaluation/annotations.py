"""Reads annotated sound: a folder of sound files with tab-separated annotation beside each.

`NAME.transitions.tsv` (start, end, `kind:from>to`) lists the transitions between the tracks of a mix;
`NAME.sections.tsv` and `NAME.segments.tsv` (start, end, label) cover the file. The label `_` means "not labelled";
such spans are not scored.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from streamseg.errors import NotAudioError, SourceNotFoundError

TruthKind: TypeAlias = Literal["auto", "sections", "transitions", "segments"]
_SOUND_ENDINGS = (".ogg", ".flac", ".wav", ".mp3", ".m4a", ".opus", ".aac")
_PREFERENCE = ("transitions", "sections", "segments")
_NO_LABEL = "_"


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

    Raises NotAudioError, which names the line, for a row of another form.
    """
    spans = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file, delimiter="\t"), 1):
            try:
                spans.append(LabelledSpan(float(row[0]), float(row[1]), row[2]))
            except (ValueError, IndexError):
                raise NotAudioError(f"{path.name}, line {number}: expected start, end, label; found {row}") from None
    return tuple(spans)


def drop_unlabelled(spans: tuple[LabelledSpan, ...]) -> tuple[LabelledSpan, ...]:
    """Return the spans without those whose label is `_` (not labelled)."""
    return tuple(span for span in spans if span.label != _NO_LABEL)


def list_sound_and_annotation_files(folder: Path) -> list[Path]:
    """List the sound files and annotation files of a folder, sorted by path; [] if the folder is missing."""
    endings = (*_SOUND_ENDINGS, ".tsv")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings) if folder.is_dir() else []


def find_annotated_files(folder: Path, truth: TruthKind = "auto") -> list[AnnotatedFile]:
    """Find the sound files of a folder that have an annotation file, sorted by name, and read their annotation.

    truth: the kind of annotation; "auto" takes for each file the first of transitions, sections, segments that exists.
    Raises SourceNotFoundError when the folder is missing or has none.
    """
    if not folder.is_dir():
        raise SourceNotFoundError(f"no folder {folder}")
    files = []
    for audio in sorted(path for path in folder.iterdir() if path.suffix.lower() in _SOUND_ENDINGS):
        kinds = _PREFERENCE if truth == "auto" else (truth,)
        kind = next((kind for kind in kinds if audio.with_suffix(f".{kind}.tsv").exists()), None)
        if kind is None:
            continue
        spans = drop_unlabelled(read_spans(audio.with_suffix(f".{kind}.tsv")))
        segments = spans
        if kind == "transitions":
            path = audio.with_suffix(".segments.tsv")
            segments = drop_unlabelled(read_spans(path)) if path.exists() else ()
        files.append(AnnotatedFile(audio, kind, spans, segments))  # type: ignore[arg-type]
    if not files:
        names = " or ".join(f"NAME.{kind}.tsv" for kind in (_PREFERENCE if truth == "auto" else (truth,)))
        raise SourceNotFoundError(f"no annotated sound in {folder}: looked for sound files with {names} beside them")
    return files
