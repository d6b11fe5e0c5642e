"""`streamseg export`: events kept as JSON lines become any other format."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import ForceOption, FormatOption, OutputOption

if TYPE_CHECKING:
    from streamseg.wire.envelope import Envelope

EXAMPLES = """Examples:

streamseg export song.jsonl --format audacity -o song.txt

streamseg export show.jsonl --format cue --audio show.flac -o show.cue

streamseg watch ws://127.0.0.1:8765/ws --json > evening.jsonl
"""


NEEDS_PATH = {"rekordbox"}  # formats that find the sound by its path; events have its name alone


def command(
    events: Annotated[
        Path,
        typer.Argument(metavar="EVENTS.jsonl", help="What `analyze` or `watch --json` wrote; - for standard input."),
    ],
    format_: FormatOption,
    out: OutputOption = None,
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
    from streamseg.cli.output_file import write_output
    from streamseg.cli.paths import check_output, collect_inputs
    from streamseg.outputs import FORMATS

    replace = check_output(out, collect_inputs(files=[events]), force=force)
    chosen = _select_epoch(read_events(events), epoch)
    if audio is not None:
        chosen = set_audio_path(chosen, audio)
    elif format_ in NEEDS_PATH:
        chosen = _find_audio_path(chosen, events, format_)
    write_output(FORMATS[format_].render(chosen), out, replace=replace)


def read_events(path: Path) -> Iterator[Envelope]:
    """The events of a file of JSON lines, or of standard input.

    Raises SourceNotFound, SourceFailed where it cannot be read, OutputFailed where a line is no event.
    """
    from streamseg.errors import SourceError, SourceNotFoundError
    from streamseg.outputs import jsonl

    standard_input = str(path) == "-"
    try:
        with nullcontext(sys.stdin.buffer) if standard_input else path.open("rb") as file:
            yield from jsonl.parse_lines(jsonl.read_lines(file), name="standard input" if standard_input else str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise SourceNotFoundError(f"no file {str(path)!r}; make one: streamseg analyze FILE -o {path}") from None
    except OSError as error:
        raise SourceError(f"the events {path} cannot be read: {error.strerror}") from None


def set_audio_path(envelopes: Iterator[Envelope], audio: str) -> Iterator[Envelope]:
    """The same events, the sound's file called so."""
    import msgspec

    from streamseg.wire.events import StreamStarted

    for envelope in envelopes:
        if isinstance(envelope.data, StreamStarted):
            envelope = msgspec.structs.replace(envelope, data=msgspec.structs.replace(envelope.data, source=audio))
        yield envelope


def _find_audio_path(envelopes: Iterator[Envelope], events: Path, format_: str) -> Iterator[Envelope]:
    """The same events with the path of the sound's file, which lies beside them or here. Raises AskedWrongly."""
    from streamseg.errors import UsageError
    from streamseg.wire.events import StreamStarted

    for envelope in envelopes:
        if isinstance(envelope.data, StreamStarted):
            name = envelope.data.source
            found = next((str(path) for path in (events.parent / name, Path(name)) if path.is_file()), None)
            if found is None and not Path(name).is_absolute():
                raise UsageError(
                    f"{format_} finds a track by its path; {name!r} lies neither beside the events nor here: "
                    "name it with --audio PATH"
                )
            (envelope,) = set_audio_path(iter([envelope]), found or name)
        yield envelope


def _select_epoch(envelopes: Iterator[Envelope], epoch: str | None) -> Iterator[Envelope]:
    return (envelope for envelope in envelopes if epoch is None or envelope.epoch == epoch)
