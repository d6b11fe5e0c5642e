"""`streamseg teach`: a short sound, known again wherever it comes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import MemoryOption, history_path, memory_file

if TYPE_CHECKING:
    from streamseg.blocks import Samples

EXAMPLES = """Examples:

streamseg teach jingle.wav --name "News at noon"

streamseg teach show.ogg --name Ads --from 63.2 --to 67.8

streamseg teach --forget --name Ads
"""


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A recording of it; where it starts, it will be found to start."),
    ] = None,
    *,
    name: Annotated[str, typer.Option(help="What it is called.")],
    start_s: Annotated[float, typer.Option("--from", min=0, metavar="SECONDS", help="Where in FILE it starts.")] = 0.0,
    end_s: Annotated[
        float | None, typer.Option("--to", min=0, metavar="SECONDS", help="Where in FILE it ends.", show_default=False)
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget what bears the name instead.")] = False,
    memory: MemoryOption = None,
) -> None:
    """Learn a cue sound of some seconds: a jingle, a signal, the sound before the news.

    It is known from the next start of a stream on. Found again, it makes a boundary exactly where it starts
    (`snapped_to: "cue:NAME"`), and the section that begins there bears the name.
    """
    from streamseg.cli import terminal
    from streamseg.engine.cues import learn
    from streamseg.errors import AskedWrongly
    from streamseg.label_names import checked_name
    from streamseg.memory import Remembered

    kept = memory_file(memory, history_path(None, none=False))
    assert kept is not None  # noqa: S101  there is always a data folder
    if forget:
        gone = kept.forget(name)
        if not gone:
            raise AskedWrongly(f"nothing called {name!r} is remembered in {kept.path}")
        terminal.err.print(f"forgot {name!r} ({gone}) in {kept.path}")
        return
    name = checked_name(name)
    if file is None:
        raise AskedWrongly("no recording to learn from; give a FILE, or --forget")
    cue = learn(name, _sound(file, start_s, end_s))
    kept.add(Remembered(name=name, kind="cue", content=cue.packed()))
    terminal.err.print(f"learned {name!r} by its first {cue.seconds:.1f} s; kept in {kept.path}")


def _sound(file: Path, start_s: float, end_s: float | None) -> Samples:
    """What lies between two times of a file, mono at the engine's rate."""
    import numpy as np

    from streamseg.blocks import Block
    from streamseg.engine.cues import LONGEST_S
    from streamseg.engine.resampling import Resampler
    from streamseg.settings import ENGINE_RATE, FRAME
    from streamseg.sources import AudioFile

    enough_s = min(math.inf if end_s is None else end_s, start_s + LONGEST_S + FRAME / ENGINE_RATE)
    resampler: Resampler | None = None
    parts = [np.zeros(0, np.float32)]
    for item in AudioFile(file):
        if isinstance(item, Block):
            resampler = resampler or Resampler(item.sample_rate)
            parts.append(resampler.push(item.samples))
            if sum(map(len, parts)) > enough_s * ENGINE_RATE:
                break
    else:
        if resampler is not None:
            parts.append(resampler.flush())
    return np.concatenate(parts)[round(start_s * ENGINE_RATE) : round(enough_s * ENGINE_RATE)]
