"""`streamseg demo`: plays a built-in programme through the whole live path, without a sound device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import LookaheadOption, ProfileOption, SensitivityOption, SetOption, settings_from_options

if TYPE_CHECKING:
    from streamseg.live.session import Session
    from streamseg.wire.envelope import Envelope

EXAMPLES = """Examples:

streamseg demo --open

streamseg demo --fast

Then, with a sound of your own: streamseg listen
"""
_HIT_TOLERANCE_S = 1.0  # a confirmed boundary this close to a true one counts as a hit


def command(
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Play as fast as possible instead of in real time.")] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the page. Default: 8765, or any free one if that is in use."),
    ] = None,
    keep_serving: Annotated[
        bool, typer.Option("--stay", help="Go on serving after the programme has ended, until Ctrl-C.")
    ] = False,
    profile: ProfileOption = "broadcast",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
) -> None:
    """Play a built-in radio programme through the whole live path, and show its events.

    Talk, two pieces of music, rain, silence, and one of the pieces again: 78 seconds,
    through the same ring buffer, engine, server and page as a microphone.
    """
    import webbrowser

    from streamseg.cli import serving, terminal
    from streamseg.cli.summary import EventSummary
    from streamseg.live import Session
    from streamseg.sources import PacedSource
    from streamseg.sources.demo_programme import DemoProgramme, list_demo_scenes

    settings = settings_from_options(profile, changes, lookahead, sensitivity)
    scenes = list_demo_scenes()
    terminal.stdout.print(
        f"programme: {', '.join(f'{terminal.format_clock(scene.start_s)} {scene.name}' for scene in scenes)}"
    )
    with terminal.show_busy("composing the programme"):
        programme = DemoProgramme()
    source = PacedSource(programme, programme.name, fast=fast)
    session = Session("demo", source, settings, telemetry=True)
    summary, event_lines, boundary_times = EventSummary(), terminal.EventLines(), list[float]()

    def print_events(_: Session, envelopes: list[Envelope]) -> None:
        summary.add_events(envelopes)
        boundary_times.extend(_confirmed_times(envelopes))
        event_lines.print_events(envelopes)

    def show_page(page_url: str) -> None:
        terminal.print_server_addresses(page_url)
        if open_:
            webbrowser.open(page_url)

    serving.run_sessions(
        [session],
        print_events,
        serving.ServeOptions(
            port=serving.DEFAULT_PORT if port is None else port, any_free_port=port is None, keep_serving=keep_serving
        ),
        show_page,
    )
    true_times = [scene.start_s for scene in scenes[1:] if scene.start_s < summary.t]
    hits = sum(any(abs(t - true_t) <= _HIT_TOLERANCE_S for t in boundary_times) for true_t in true_times)
    false_alarms = len(boundary_times) - hits
    terminal.stdout.print(f"found {hits} of {len(true_times)} changes, {false_alarms} where there was none; {summary}")
    serving.raise_session_failures([session])


def _confirmed_times(envelopes: list[Envelope]) -> list[float]:
    from streamseg.wire.events import BoundaryConfirmed

    return [envelope.data.t for envelope in envelopes if isinstance(envelope.data, BoundaryConfirmed)]
