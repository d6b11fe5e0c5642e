"""`streamseg teach`: a short sound, known again wherever it comes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import MemoryOption, choose_history_path, open_name_store

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
    from streamseg.engine.fingerprints.fingerprint import make_fingerprint
    from streamseg.engine.named_sounds import NamedSound
    from streamseg.errors import UsageError
    from streamseg.wire.label_names import check_name

    kept = open_name_store(memory, choose_history_path(None, none=False))
    assert kept is not None  # noqa: S101  there is always a data folder
    if forget:
        gone = kept.delete_entries(name)
        if not gone:
            raise UsageError(f"nothing called {name!r} is remembered in {kept.path}")
        terminal.stderr.print(f"forgot {name!r} ({gone}) in {kept.path}")
        return
    name = check_name(name)
    if file is None:
        raise UsageError("no recording to learn from; give a FILE, or --forget")
    fingerprint = make_fingerprint(name, _read_excerpt(file, start_s, end_s))
    kept.add_entry(NamedSound(name=name, kind="cue", content=fingerprint.to_bytes()))
    terminal.stderr.print(f"learned {name!r} by its first {fingerprint.duration_s:.1f} s; kept in {kept.path}")


def _read_excerpt(file: Path, start_s: float, end_s: float | None) -> Samples:
    """What lies between two times of a file, mono at the engine's rate."""
    import numpy as np

    from streamseg.blocks import Block
    from streamseg.engine.features.resampling import Resampler
    from streamseg.engine.fingerprints.fingerprint import MAX_DURATION_S
    from streamseg.settings import ENGINE_RATE, FRAME
    from streamseg.sources import AudioFileSource

    enough_s = min(math.inf if end_s is None else end_s, start_s + MAX_DURATION_S + FRAME / ENGINE_RATE)
    resampler: Resampler | None = None
    parts = [np.zeros(0, np.float32)]
    for item in AudioFileSource(file):
        if isinstance(item, Block):
            resampler = resampler or Resampler(item.sample_rate)
            parts.append(resampler.push(item.samples))
            if sum(map(len, parts)) > enough_s * ENGINE_RATE:
                break
    else:
        if resampler is not None:
            parts.append(resampler.flush())
    return np.concatenate(parts)[round(start_s * ENGINE_RATE) : round(enough_s * ENGINE_RATE)]
