"""`streamseg export`: converts events of JSON lines to another format."""

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


NEEDS_PATH = {"rekordbox"}  # formats that need the path of the sound file; events have only its name


def command(
    events: Annotated[
        Path,
        typer.Argument(
            metavar="EVENTS.jsonl", help="Events as `analyze` or `watch --json` writes them; - is standard input."
        ),
    ],
    format_: FormatOption,
    out: OutputOption = None,
    force: ForceOption = False,
    audio: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the sound file, for formats that have it, if the events do not (microphone)."
        ),
    ] = None,
    epoch: Annotated[str | None, typer.Option(help="The epoch to export, if the events are of several.")] = None,
) -> None:
    """Convert events to labels, chapters, a CUE sheet or a table."""
    from streamseg.cli.output_file import write_output
    from streamseg.cli.paths import check_output, collect_inputs
    from streamseg.outputs import FORMATS

    replace = check_output(out, collect_inputs(files=[events]), force=force)
    envelopes = _select_epoch(read_events(events), epoch)
    if audio is not None:
        envelopes = set_audio_path(envelopes, audio)
    elif format_ in NEEDS_PATH:
        envelopes = _find_audio_path(envelopes, events, format_)
    write_output(FORMATS[format_].render(envelopes), out, replace=replace)


def read_events(path: Path) -> Iterator[Envelope]:
    """The events of a file of JSON lines, or of standard input.

    Raises SourceNotFoundError, SourceError when it cannot be read, OutputError when a line is not an event.
    """
    from streamseg.errors import SourceError, SourceNotFoundError
    from streamseg.outputs import jsonl

    standard_input = str(path) == "-"
    try:
        with nullcontext(sys.stdin.buffer) if standard_input else path.open("rb") as file:
            yield from jsonl.parse_lines(jsonl.lines(file), of="standard input" if standard_input else str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise SourceNotFoundError(f"no file {str(path)!r}; make one: streamseg analyze FILE -o {path}") from None
    except OSError as error:
        raise SourceError(f"the events {path} cannot be read: {error.strerror}") from None


def set_audio_path(envelopes: Iterator[Envelope], audio: str) -> Iterator[Envelope]:
    """The same events with `audio` as the name of the sound file."""
    import msgspec

    from streamseg.wire.events import StreamStarted

    for envelope in envelopes:
        if isinstance(envelope.data, StreamStarted):
            envelope = msgspec.structs.replace(envelope, data=msgspec.structs.replace(envelope.data, source=audio))
        yield envelope


def _find_audio_path(envelopes: Iterator[Envelope], events: Path, format_: str) -> Iterator[Envelope]:
    """The same events with the path of the sound file, looked for beside the events and in the current folder.

    Raises UsageError when it is in neither.
    """
    from streamseg.errors import UsageError
    from streamseg.wire.events import StreamStarted

    for envelope in envelopes:
        if isinstance(envelope.data, StreamStarted):
            name = envelope.data.source
            audio = next((str(path) for path in (events.parent / name, Path(name)) if path.is_file()), None)
            if audio is None and not Path(name).is_absolute():
                raise UsageError(
                    f"{format_} needs the path of the sound file; {name!r} is neither beside the events nor in the "
                    "current folder; give it with --audio PATH"
                )
            (envelope,) = set_audio_path(iter([envelope]), audio or name)
        yield envelope


def _select_epoch(envelopes: Iterator[Envelope], epoch: str | None) -> Iterator[Envelope]:
    return (envelope for envelope in envelopes if epoch is None or envelope.epoch == epoch)
