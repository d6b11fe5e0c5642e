"""`streamseg analyze`: a file, as fast as the machine allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import (
    FeedbackOption,
    ForceOption,
    FormatOption,
    LookaheadOption,
    MemoryOption,
    ModelOption,
    OutputOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    choose_history_path,
    load_chosen_model,
    open_feedback_store,
    open_name_store,
    settings_from_options,
)

if TYPE_CHECKING:
    from streamseg.live.session import Session
    from streamseg.wire.envelope import Envelope

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
    feedback: FeedbackOption = None,
    format_: FormatOption = "jsonl",
    out: OutputOption = None,
    force: ForceOption = False,
    memory: MemoryOption = None,
) -> None:
    """Find the sections of a recording.

    Writes one event object a line, the same events as live, or another format; how far it is goes to standard error.
    """
    from streamseg.sources import FIXED_PCM_ADVICE, open_source, parse_source

    settings = settings_from_options(profile, changes, lookahead, sensitivity)
    stream, spec = parse_source(file)
    # first, because another process decodes it and starts while the engine is loaded here
    source = open_source(spec, pcm_advice=FIXED_PCM_ADVICE)

    from streamseg.cli import terminal
    from streamseg.cli.commands.export import NEEDS_PATH, set_audio_path
    from streamseg.cli.output_file import write_output
    from streamseg.cli.paths import check_output, collect_inputs
    from streamseg.cli.signals import handle_stop_signals
    from streamseg.errors import OutputError
    from streamseg.live.session import Session
    from streamseg.outputs import FORMATS

    data = choose_history_path(None, none=False)
    remembered, book = open_name_store(memory, data), open_feedback_store(feedback, data)
    reads = collect_inputs(
        sounds=[spec],
        files=[model],
        databases=[remembered.path if remembered else None],
        lessons=book.path if book else None,
    )
    replace = check_output(out, reads, force=force)
    session = Session(
        stream, source, settings, model=load_chosen_model(model), name_store=remembered, feedback_store=book
    )
    try:
        with handle_stop_signals(session.finish):
            events = iterate_with_progress(session)
            if format_ in NEEDS_PATH:
                events = set_audio_path(events, spec)
            write_output(FORMATS[format_].render(events), out, replace=replace, growing=format_ == "jsonl")
    except OutputError:
        if session.failure and session.position.t == 0.0:  # no sound, so that there was nothing to write
            raise session.failure from None
        raise
    if session.failure:
        raise session.failure
    if session.is_stopped:
        terminal.stderr.print(f"streamseg: stopped at {terminal.format_clock(session.position.t)}, before the end")
        raise typer.Exit(1)


def iterate_with_progress(session: Session) -> Iterator[Envelope]:
    """Everything said of a recording, with progress and a closing summary on standard error."""
    from streamseg.cli import terminal
    from streamseg.cli.summary import EventSummary

    summary, began = EventSummary(), time.perf_counter()
    for envelopes in terminal.iterate_with_status(session):
        summary.push(envelopes)
        yield from envelopes
    if session.failure and not session.position.t:
        return  # the failure says it all
    took_s = time.perf_counter() - began
    terminal.stderr.print(f"{summary}; took {took_s:.1f} s ({session.position.t / took_s:.0f} × real time)")
