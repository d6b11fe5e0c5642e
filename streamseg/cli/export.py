"""`streamseg export`: events kept as JSON lines become any other format."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import ForceOption, FormatOption, OutOption

if TYPE_CHECKING:
    from streamseg.envelope import Envelope

EXAMPLES = """Examples:

streamseg export song.jsonl --format audacity -o song.txt

streamseg export show.jsonl --format cue --audio show.flac -o show.cue

streamseg watch ws://127.0.0.1:8765/ws --json > evening.jsonl
"""


def command(
    events: Annotated[
        Path,
        typer.Argument(metavar="EVENTS.jsonl", help="What `analyze` or `watch --json` wrote; - for standard input."),
    ],
    format_: FormatOption,
    out: OutOption = None,
    force: ForceOption = False,
    audio: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The sound's file, where the format names it and the events cannot (a microphone)."
        ),
    ] = None,
    epoch: Annotated[str | None, typer.Option(help="The run to export, when the events are of several.")] = None,
) -> None:
    """Turn events into labels, chapters, a CUE sheet or a table."""
    from streamseg.cli.paths import check_output, read_files
    from streamseg.cli.writing import write
    from streamseg.outputs import FORMATS

    replace = check_output(out, read_files(files=[events]), force=force)
    write(FORMATS[format_].write(_chosen(read_events(events), audio, epoch)), out, replace=replace)


def read_events(path: Path) -> Iterator[Envelope]:
    """The events of a file of JSON lines, or of standard input.

    Raises SourceNotFound, SourceFailed where it cannot be read, OutputFailed where a line is no event.
    """
    from streamseg.errors import SourceFailed, SourceNotFound
    from streamseg.outputs import jsonl

    standard_input = str(path) == "-"
    try:
        with nullcontext(sys.stdin.buffer) if standard_input else path.open("rb") as file:
            yield from jsonl.read(jsonl.lines(file), of="standard input" if standard_input else str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise SourceNotFound(f"no file {str(path)!r}; make one: streamseg analyze FILE -o {path}") from None
    except OSError as error:
        raise SourceFailed(f"the events {path} cannot be read: {error.strerror}") from None


def _chosen(envelopes: Iterator[Envelope], audio: str | None, epoch: str | None) -> Iterator[Envelope]:
    import msgspec

    from streamseg.events import StreamStarted

    for envelope in envelopes:
        if epoch is not None and envelope.epoch != epoch:
            continue
        if audio is not None and isinstance(envelope.data, StreamStarted):
            envelope = msgspec.structs.replace(envelope, data=msgspec.structs.replace(envelope.data, source=audio))
        yield envelope
