"""`streamseg demo`: everything at work, with nothing attached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import LookaheadOption, ProfileOption, SensitivityOption, SetOption, chosen_settings

if TYPE_CHECKING:
    from streamseg.cli.hearing import Hearing
    from streamseg.envelope import Envelope

EXAMPLES = """Examples:

streamseg demo --open

streamseg demo --fast

Then, with a sound of your own: streamseg listen
"""
_NEAR_S = 1.0  # a change found this close to where it is has been found


def command(
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Play as fast as possible instead of in real time.")] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the page; 8765, or any free one where that is taken.")
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Serve on after the programme has ended, until Ctrl-C.")] = False,
    profile: ProfileOption = "broadcast",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
) -> None:
    """Play a built-in radio programme through the whole live path, and show what is heard.

    Talk, two pieces of music, rain, silence, and one piece again: 78 seconds,
    over the same ring, engine, server and page as a microphone.
    """
    import webbrowser

    from streamseg.cli import live, terminal
    from streamseg.cli.hearing import Hearing
    from streamseg.cli.summary import Tally
    from streamseg.sources import Playback
    from streamseg.sources.programme import Programme, scenes

    settings = chosen_settings(profile, changes, lookahead, sensitivity)
    order = scenes()
    terminal.out.print(f"programme: {', '.join(f'{terminal.clock(scene.start_s)} {scene.name}' for scene in order)}")
    with terminal.busy("composing it"):
        programme = Programme()
    source = Playback(programme, programme.name, fast=fast)
    hearing = Hearing("demo", source, settings, telemetry=True)
    tally, found = Tally(), list[float]()

    def tell(_: Hearing, envelopes: list[Envelope]) -> None:
        tally.push(envelopes)
        found.extend(_changes(envelopes))
        terminal.print_lines(envelopes)

    def opened(page: str) -> None:
        terminal.print_address(page)
        if open_:
            webbrowser.open(page)

    live.run(
        [hearing],
        tell,
        live.Port(port=live.DEFAULT_PORT if port is None else port, or_free=port is None, stay=stay),
        opened,
    )
    true = [scene.start_s for scene in order[1:] if scene.start_s < tally.t]
    hits = sum(any(abs(t - start) <= _NEAR_S for t in found) for start in true)
    terminal.out.print(f"found {hits} of {len(true)} changes, {len(found) - hits} where there was none; {tally}")
    live.settle([hearing])


def _changes(envelopes: list[Envelope]) -> list[float]:
    from streamseg.events import BoundaryConfirmed

    return [envelope.data.t for envelope in envelopes if isinstance(envelope.data, BoundaryConfirmed)]
