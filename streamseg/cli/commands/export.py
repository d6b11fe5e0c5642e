"""`streamseg export`: converts events of JSON lines to another format."""

from __future__ import annotations

from collections.abc import Iterator
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
    from streamseg.outputs import FORMATS
    from streamseg.outputs.audio_path import FORMATS_WITH_PATH, resolve_audio_path, set_audio_path
    from streamseg.outputs.event_file import read_events

    replace = decide_replacing_output(out, collect_inputs(files=[events]), force=force)
    envelopes = _select_epoch(read_events(events), epoch)
    if audio is not None:
        envelopes = set_audio_path(envelopes, audio)
    elif format_ in FORMATS_WITH_PATH:
        envelopes = resolve_audio_path(envelopes, events.parent)
    write_output(FORMATS[format_].render(envelopes), out, replace=replace)


def _select_epoch(envelopes: Iterator[Envelope], epoch: str | None) -> Iterator[Envelope]:
    return (envelope for envelope in envelopes if epoch is None or envelope.epoch == epoch)
