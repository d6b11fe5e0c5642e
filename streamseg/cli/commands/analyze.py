"""`streamseg analyze`: finds the sections of a recording."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import (
    FeedbackOption,
    ForceOption,
    LookaheadOption,
    MemoryOption,
    ModelOption,
    OptionalFormatOption,
    OutputOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    choose_format,
    load_chosen_model,
    settings_from_options,
)

if TYPE_CHECKING:
    from streamseg.live.session import Session
    from streamseg.wire.envelope import Envelope

EXAMPLES = """Examples:

streamseg analyze song.flac

streamseg analyze night.mp3 --profile dj -o night.cue

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
    format_: OptionalFormatOption = None,
    out: OutputOption = None,
    force: ForceOption = False,
    memory: MemoryOption = None,
) -> None:
    """Find the sections of a recording, as fast as the machine allows.

    Writes the same events as live, one JSON object a line, or another format. Progress goes to standard error.
    """
    from streamseg.sources import FIXED_PCM_ADVICE, open_source, parse_source

    settings = settings_from_options(profile, changes, lookahead, sensitivity)
    stream, spec = parse_source(file)
    # Opened first: the process that decodes it starts while the engine is imported here.
    source = open_source(spec, pcm_advice=FIXED_PCM_ADVICE)

    from streamseg.cli import terminal
    from streamseg.cli.paths import collect_inputs, decide_replacing_output
    from streamseg.cli.signals import handle_stop_signals
    from streamseg.cli.text_output import write_output
    from streamseg.engine.kernels import is_compiling
    from streamseg.live import Session, open_feedback_store, open_name_store
    from streamseg.outputs import FORMATS
    from streamseg.outputs.audio_path import FORMATS_WITH_PATH, set_audio_path

    name_store, feedback_store = open_name_store(memory), open_feedback_store(feedback)
    inputs = collect_inputs(
        sounds=[spec], files=[model], databases=[name_store.path], feedback_file=feedback_store.path
    )
    replace = decide_replacing_output(out, inputs, force=force)
    chosen_format = choose_format(format_, out)
    session = Session(
        stream,
        source,
        settings,
        model=load_chosen_model(model),
        name_store=name_store,
        feedback_store=feedback_store,
    )
    with handle_stop_signals(session.finish, is_compiling):
        events = iterate_events_and_print_summary(session)
        if chosen_format in FORMATS_WITH_PATH:
            events = set_audio_path(events, spec)
        write_output(FORMATS[chosen_format].render(events), out, replace=replace, growing=chosen_format == "jsonl")
    if session.failure:
        raise session.failure
    if session.is_stopped:
        terminal.stderr.print(f"streamseg: stopped at {terminal.format_clock(session.progress.t)}, before the end")
        raise typer.Exit(1)


def iterate_events_and_print_summary(session: Session) -> Iterator[Envelope]:
    """Yield all events of a session; meanwhile show progress on standard error, and print a summary at the end.

    Raises the session's failure if it got no sound at all, so that no file is written or replaced.
    """
    from streamseg.cli import terminal
    from streamseg.cli.summary import EventSummary

    summary, start = EventSummary(), time.perf_counter()
    for envelopes in terminal.iterate_and_show_status(session):
        summary.add_events(envelopes)
        yield from envelopes
    if session.failure and not session.progress.t:
        raise session.failure
    took_s = time.perf_counter() - start
    terminal.stderr.print(f"{summary}; took {took_s:.1f} s ({session.progress.t / took_s:.0f} × real time)")
