"""A folder of worlds: folders of annotated sound that have nothing in common, each scored by itself.

A mean over all files would hide the world in which the program fails; so the worst world stands first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamseg.errors import SourceNotFoundError
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import TruthKind, find_annotated_files
from streamseg.evaluation.checkerboard import estimate_boundaries
from streamseg.evaluation.evaluate import Evaluation, TrackScore, score_track
from streamseg.evaluation.parallel import run_parallel

COLUMNS = ("world", "files", "F 3 s", "95 %", "F .5 s", "P", "R", "false/h", "delay", "p90")


@dataclass(frozen=True, slots=True)
class World:
    """One folder's figures, and those of the checkerboard on the same files where they were asked for."""

    name: str
    tracks: tuple[TrackScore, ...]
    checkerboard: tuple[TrackScore, ...] = ()

    @property
    def mean_f(self) -> float:
        """Mean over files, 3 s."""
        return float(np.mean([track.f for track in self.tracks]))

    def rows(self) -> list[tuple[str, ...]]:
        """A row of `COLUMNS` for the program, and one for the checkerboard."""
        rows = [_row(self.name, self.tracks)]
        return [*rows, _row("checkerboard", self.checkerboard)] if self.checkerboard else rows


def group_by_world(folder: Path, truth: TruthKind = "auto") -> list[Path]:
    """The folder itself when it holds annotated sound, else every folder in it that does.

    Raises SourceNotFound when there is none.
    """
    try:
        find_annotated_files(folder, truth)
    except SourceNotFoundError as error:
        found = []
        for inner in sorted(path for path in folder.glob("*/") if path.is_dir()):
            try:
                find_annotated_files(inner, truth)
            except SourceNotFoundError:
                continue
            found.append(inner)
        if not found:
            raise error
        return found
    return [folder]


def score_checkerboard(evaluation: Evaluation, jobs: int = 1) -> tuple[TrackScore, ...]:
    """How the checkerboard does on the files of an evaluation. jobs: processes at a time."""
    names = list(evaluation.truth)
    found = dict(run_parallel(estimate_boundaries, [(evaluation.truth[name].audio,) for name in names], jobs))
    return tuple(score_track(evaluation.truth[name], found[number]) for number, name in enumerate(names))


def sort_worst_first(worlds: list[World]) -> list[World]:
    """In the order in which they are to be read."""
    return sorted(worlds, key=lambda one: one.mean_f)


def _row(name: str, tracks: tuple[TrackScore, ...]) -> tuple[str, ...]:
    low, high = scores.bootstrap_interval([track.f for track in tracks])
    hours = sum(track.duration_s for track in tracks) / 3600
    alarms = sum(track.false_alarms_per_h * track.duration_s for track in tracks) / 3600 / hours if hours else 0.0
    delays = [delay for track in tracks for delay in track.delays_s]
    late = [f"{np.median(delays):.1f} s", f"{np.percentile(delays, 90):.1f} s"] if delays else ["none", "none"]
    return (
        name,
        str(len(tracks)),
        _mean_figure(tracks, "f"),
        f"{low:.2f}-{high:.2f}",
        _mean_figure(tracks, "f_05"),
        _mean_figure(tracks, "precision", 2),
        _mean_figure(tracks, "recall", 2),
        f"{alarms:.1f}",
        *late,
    )


def _mean_figure(tracks: tuple[TrackScore, ...], part: str, digits: int = 3) -> str:
    values = [value for track in tracks if (value := getattr(track, part)) is not None]
    return f"{np.mean(values):.{digits}f}" if values else "–"
