"""Annotated audio: a folder of sound files with tab-separated truth beside each.

`NAME.transitions.tsv` (start, end, `kind:from>to`) says where one track of a mix gives way to the next;
`NAME.sections.tsv` and `NAME.segments.tsv` (start, end, label) cover the file. A label `_` is "not labelled" and is
left out of the scoring.
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
_UNLABELLED = "_"


@dataclass(frozen=True, slots=True)
class LabelledSpan:
    """A stretch of the truth, stream seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class AnnotatedFile:
    """One sound file with its truth.

    spans: what boundaries are scored against, in order. segments: flat labels, empty where there are none.
    """

    audio: Path
    kind: Literal["sections", "transitions", "segments"]
    spans: tuple[LabelledSpan, ...]
    segments: tuple[LabelledSpan, ...]


def read_spans(path: Path) -> tuple[LabelledSpan, ...]:
    """Rows of `start  end  label`. Raises NotAudio naming the line that is none."""
    spans = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file, delimiter="\t"), 1):
            try:
                spans.append(LabelledSpan(float(row[0]), float(row[1]), row[2]))
            except (ValueError, IndexError):
                raise NotAudioError(f"{path.name}, line {number}: expected start, end, label; found {row}") from None
    return tuple(spans)


def drop_unlabelled(spans: tuple[LabelledSpan, ...]) -> tuple[LabelledSpan, ...]:
    """Without what is not labelled."""
    return tuple(span for span in spans if span.label != _UNLABELLED)


def files_in(folder: Path) -> list[Path]:
    """The sound and the truth in a folder; nothing where there is no such folder."""
    endings = (*_SOUND_ENDINGS, ".tsv")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings) if folder.is_dir() else []


def find_annotated_files(folder: Path, truth: TruthKind = "auto") -> list[AnnotatedFile]:
    """Every sound file in `folder` that has truth of the wanted kind, by name.

    Raises SourceNotFound when the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise SourceNotFoundError(f"no folder {folder}")
    found = []
    for audio in sorted(path for path in folder.iterdir() if path.suffix.lower() in _SOUND_ENDINGS):
        kinds = _PREFERENCE if truth == "auto" else (truth,)
        kind = next((kind for kind in kinds if audio.with_suffix(f".{kind}.tsv").exists()), None)
        if kind is None:
            continue
        spans = drop_unlabelled(read_spans(audio.with_suffix(f".{kind}.tsv")))
        flat = next(
            (
                audio.with_suffix(f".{name}.tsv")
                for name in ("sections", "segments")
                if kind != "transitions" or name == "segments"
            ),
            None,
        )
        segments = drop_unlabelled(read_spans(flat)) if flat is not None and flat.exists() else ()
        found.append(AnnotatedFile(audio, kind, spans, segments if kind == "transitions" else spans))  # type: ignore[arg-type]
    if not found:
        wanted = " or ".join(f"NAME.{kind}.tsv" for kind in (_PREFERENCE if truth == "auto" else (truth,)))
        raise SourceNotFoundError(f"no annotated sound in {folder}: looked for sound files with {wanted} beside them")
    return found
