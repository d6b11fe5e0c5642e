"""`streamseg export`: converts events of JSON lines to another format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import ForceOption, FormatOption, OutputOption

if TYPE_CHECKING:
    from streamseg.errors import TruncatedSourceError
    from streamseg.wire.envelope import Envelope

_LISTED_EPOCHS = 10
EXAMPLES = """Examples:

streamseg export song.jsonl --format audacity -o song.txt

streamseg export show.jsonl --format cue --audio show.flac -o show.cue

streamseg watch ws://127.0.0.1:8765/ws --json > evening.jsonl
"""


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
    from streamseg.cli.paths import collect_inputs, decide_replacing_output
    from streamseg.cli.text_output import write_output
    from streamseg.errors import StreamsegError
    from streamseg.outputs import FORMATS
    from streamseg.outputs.audio_path import FORMATS_WITH_PATH, resolve_audio_path, set_audio_path

    replace = decide_replacing_output(out, collect_inputs(files=[events]), force=force)
    selection = _EpochSelection(events, epoch)
    envelopes: Iterable[Envelope] = selection
    if audio is not None:
        envelopes = set_audio_path(envelopes, audio)
    elif format_ in FORMATS_WITH_PATH:
        envelopes = resolve_audio_path(envelopes, events.parent)
    try:
        write_output(FORMATS[format_].render(envelopes), out, replace=replace)
    except StreamsegError as error:
        raise type(error)(f"{error}; {selection.failure}") if selection.failure else error from None
    if selection.failure:
        raise selection.failure


class _EpochSelection:
    """Iterates the events of one epoch of a file, or all; the error of a truncated file is stored until then."""

    def __init__(self, path: Path, epoch: str | None) -> None:
        self.path, self.epoch = path, epoch
        self.failure: TruncatedSourceError | None = None

    def __iter__(self) -> Iterator[Envelope]:
        """Yield the events. Raises what `read_events` raises, except for a truncated file; UsageError without events of
        the epoch.
        """
        from streamseg.errors import TruncatedSourceError, UsageError
        from streamseg.outputs.event_file import read_events

        epochs: dict[str, None] = {}  # in the order of the file
        try:
            for envelope in read_events(self.path):
                epochs[envelope.epoch] = None
                if self.epoch in (None, envelope.epoch):
                    yield envelope
        except TruncatedSourceError as error:
            self.failure = error
        if self.epoch is not None and self.epoch not in epochs:
            name = "standard input" if str(self.path) == "-" else self.path
            listing = ", ".join(list(epochs)[:_LISTED_EPOCHS]) + (", …" if len(epochs) > _LISTED_EPOCHS else "")
            raise UsageError(f"no epoch {self.epoch!r} in {name}; there are: {listing}")
