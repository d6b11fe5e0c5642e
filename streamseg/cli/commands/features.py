"""`streamseg features`: writes the features of each frame of a recording as a table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.cli.options import ForceOption

if TYPE_CHECKING:
    from streamseg.blocks import Source
    from streamseg.errors import StreamsegError
    from streamseg.feature_arrays import FeatureFrames

EXAMPLES = """Examples:

streamseg features song.flac -o song.npz

streamseg features show.ogg -o show.csv

streamseg features night.mp3 -o night.parquet
"""


def command(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A sound file of any kind, or - for raw PCM (s16le, 44.1 kHz, stereo)."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help=r"File to write: .npz (NumPy), .csv, or .parquet (needs the extra \[parquet]).",
        ),
    ],
    force: ForceOption = False,
) -> None:
    """Write the features of each frame, 43 a second: timbre, harmony, rhythm, pitch, loudness.

    Names, units and definitions are in docs/features.md. Progress goes to standard error.
    """
    from streamseg.cli import terminal
    from streamseg.cli.paths import collect_inputs, decide_replacing_output
    from streamseg.cli.signals import handle_stop_signals
    from streamseg.engine.kernels import is_compiling
    from streamseg.feature_arrays import COLUMNS
    from streamseg.outputs.feature_table import make_feature_writer
    from streamseg.sources import FIXED_PCM_ADVICE, open_source, parse_source

    spec = parse_source(file)[1]
    replace = decide_replacing_output(out, collect_inputs(sounds=[spec]), force=force)
    write = make_feature_writer(out, replace=replace)
    run = _FeatureRun(open_source(spec, pcm_advice=FIXED_PCM_ADVICE))
    with handle_stop_signals(run.stop, is_compiling):
        write(run.frames(), COLUMNS)
    took_s = time.perf_counter() - run.start_time
    terminal.stderr.print(
        f"{run.frame_count} frames of {terminal.format_clock(run.t)} in {out}; "
        f"took {took_s:.1f} s ({run.t / took_s:.0f} × real time)"
    )
    if run.failure:
        raise run.failure
    if run.is_stopped:
        terminal.stderr.print(f"streamseg: stopped at {terminal.format_clock(run.t)}, before the end")
        raise typer.Exit(1)


class _FeatureRun:
    """Iterates the frames of a source and counts them; an error of the source is stored until they are written."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.failure: StreamsegError | None = None
        self.is_stopped = False
        self.frame_count, self.t, self.start_time = 0, 0.0, time.perf_counter()

    def stop(self) -> None:
        """Close the source; the frames of the sound that it has delivered are still yielded."""
        self.is_stopped = True
        self.source.close()

    def frames(self) -> Iterator[FeatureFrames]:
        """Yield the features of new frames. Raises what the source raises before its first sample."""
        from rich.status import Status

        from streamseg.cli import terminal
        from streamseg.errors import StreamsegError
        from streamseg.feature_arrays import iterate_feature_frames
        from streamseg.settings import ENGINE_RATE, FRAME

        with terminal.show_start(f"{self.source.name}: opening") as status:
            has_started = False
            try:
                for frames in iterate_feature_frames(self.source):
                    has_started = True
                    if len(frames.time_s):
                        self.frame_count += len(frames.time_s)
                        self.t = float(frames.time_s[-1]) + FRAME / 2 / ENGINE_RATE
                        speed = self.t / (time.perf_counter() - self.start_time)
                        if isinstance(status, Status):
                            status.update(
                                f"{self.source.name}: {terminal.format_clock(self.t)} ({speed:.0f} × real time)"
                            )
                    yield frames
            except StreamsegError as error:
                if not has_started:
                    raise
                self.failure = error
