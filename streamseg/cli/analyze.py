"""`streamseg analyze`: a file, as fast as the machine allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import (
    ForceOption,
    FormatOption,
    LessonsOption,
    LookaheadOption,
    MemoryOption,
    ModelOption,
    OutOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    chosen_model,
    chosen_settings,
    history_path,
    lessonbook,
    memory_file,
)

if TYPE_CHECKING:
    from streamseg.cli.hearing import Hearing
    from streamseg.envelope import Envelope

EXAMPLES = """Examples:

streamseg analyze song.flac

streamseg analyze night.mp3 --profile dj --format cue -o night.cue

ffmpeg -i URL -f s16le -ac 2 -ar 44100 - | streamseg analyze -
"""


def command(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A sound file of any kind, or - for raw PCM (s16le, 44.1 kHz, stereo)."),
    ],
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    lessons: LessonsOption = None,
    format_: FormatOption = "jsonl",
    out: OutOption = None,
    force: ForceOption = False,
    memory: MemoryOption = None,
) -> None:
    """Find the sections of a recording.

    Writes one event object a line, the same events as live, or another format; how far it is goes to standard error.
    """
    from streamseg.sources import FIXED_PCM_ADVICE, open_source, parse_spec

    settings = chosen_settings(profile, changes, lookahead, sensitivity)
    stream, spec = parse_spec(file)
    # first, because another process decodes it and starts while the engine is loaded here
    source = open_source(spec, pcm_advice=FIXED_PCM_ADVICE)

    from streamseg.cli import terminal
    from streamseg.cli.export import NEEDS_PATH, with_audio
    from streamseg.cli.hearing import Hearing
    from streamseg.cli.paths import check_output, read_files
    from streamseg.cli.stopping import on_signals
    from streamseg.cli.writing import write
    from streamseg.errors import OutputFailed
    from streamseg.outputs import FORMATS

    data = history_path(None, none=False)
    remembered, book = memory_file(memory, data), lessonbook(lessons, data)
    reads = read_files(
        sounds=[spec],
        files=[model],
        databases=[remembered.path if remembered else None],
        lessons=book.path if book else None,
    )
    replace = check_output(out, reads, force=force)
    hearing = Hearing(stream, source, settings, model=chosen_model(model), memory=remembered, lessons=book)
    try:
        with on_signals(hearing.finish):
            events = heard(hearing)
            if format_ in NEEDS_PATH:
                events = with_audio(events, spec)
            write(FORMATS[format_].write(events), out, replace=replace, growing=format_ == "jsonl")
    except OutputFailed:
        if hearing.failure and hearing.position.t == 0.0:  # no sound, so that there was nothing to write
            raise hearing.failure from None
        raise
    if hearing.failure:
        raise hearing.failure
    if hearing.stopped:
        terminal.err.print(f"streamseg: stopped at {terminal.clock(hearing.position.t)}, before the end")
        raise typer.Exit(1)


def heard(hearing: Hearing) -> Iterator[Envelope]:
    """Everything said of a recording, with progress and a closing summary on standard error."""
    from streamseg.cli import terminal
    from streamseg.cli.summary import Tally

    tally, began = Tally(), time.perf_counter()
    for envelopes in terminal.progress(hearing):
        tally.push(envelopes)
        yield from envelopes
    if hearing.failure and not hearing.position.t:
        return  # the failure says it all
    took_s = time.perf_counter() - began
    terminal.err.print(f"{tally}; took {took_s:.1f} s ({hearing.position.t / took_s:.0f} × real time)")
