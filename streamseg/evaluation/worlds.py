"""Scores worlds: folders of annotated sound of different kinds, each by itself.

A mean over all files would hide the kind of sound on which the program fails; hence the worst world comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamseg.errors import SourceNotFoundError
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import TruthKind, find_annotated_files
from streamseg.evaluation.checkerboard import detect_file_boundaries
from streamseg.evaluation.evaluate import Evaluation, TrackScore, score_track
from streamseg.evaluation.parallel import run_parallel

COLUMNS = ("world", "files", "F 3 s", "95 %", "F .5 s", "P", "R", "false/h", "delay", "p90")


@dataclass(frozen=True, slots=True)
class WorldScores:
    """The boundary scores of the files of one world, a folder of annotated sound of one kind.

    tracks: the score of each file. checkerboard: scores of the baseline on the same files; empty if it was not run.
    """

    name: str
    tracks: tuple[TrackScore, ...]
    checkerboard: tuple[TrackScore, ...] = ()

    @property
    def mean_f_measure(self) -> float:
        """The mean over files of the F-measure of boundaries at a tolerance of 3 s."""
        return float(np.mean([track.f for track in self.tracks]))

    def table_rows(self) -> list[tuple[str, ...]]:
        """Format the mean scores as a table row, and those of the checkerboard baseline, if any, as a second row.

        The columns are `COLUMNS`.
        """
        rows = [_row(self.name, self.tracks)]
        return [*rows, _row("checkerboard", self.checkerboard)] if self.checkerboard else rows


def find_world_folders(folder: Path, truth: TruthKind = "auto") -> list[Path]:
    """Find the folders to score: the folder itself if it has annotated sound, else its subfolders that have some.

    truth: the kind of annotation, see `find_annotated_files`. Raises SourceNotFoundError when there is none.
    """
    try:
        find_annotated_files(folder, truth)
    except SourceNotFoundError as error:
        worlds = []
        for inner in sorted(path for path in folder.glob("*/") if path.is_dir()):
            try:
                find_annotated_files(inner, truth)
            except SourceNotFoundError:
                continue
            worlds.append(inner)
        if not worlds:
            raise error
        return worlds
    return [folder]


def score_checkerboard(evaluation: Evaluation, jobs: int = 1) -> tuple[TrackScore, ...]:
    """Score the checkerboard baseline on the files of an evaluation; jobs: number of processes."""
    names = list(evaluation.truth)
    predictions = dict(run_parallel(detect_file_boundaries, [(evaluation.truth[name].audio,) for name in names], jobs))
    return tuple(score_track(evaluation.truth[name], predictions[number]) for number, name in enumerate(names))


def sort_worst_first(worlds: list[WorldScores]) -> list[WorldScores]:
    """Return the worlds sorted by their mean F-measure, the lowest first."""
    return sorted(worlds, key=lambda world: world.mean_f_measure)


def _row(name: str, tracks: tuple[TrackScore, ...]) -> tuple[str, ...]:
    low, high = scores.bootstrap_interval([track.f for track in tracks])
    hours = sum(track.duration_s for track in tracks) / 3600
    alarms = sum(track.false_alarms_per_h * track.duration_s for track in tracks) / 3600 / hours if hours else 0.0
    delays = [delay for track in tracks for delay in track.delays_s]
    median_and_p90 = [f"{np.median(delays):.1f} s", f"{np.percentile(delays, 90):.1f} s"] if delays else ["none"] * 2
    return (
        name,
        str(len(tracks)),
        _mean_figure(tracks, "f"),
        f"{low:.2f}-{high:.2f}",
        _mean_figure(tracks, "f_05"),
        _mean_figure(tracks, "precision", 2),
        _mean_figure(tracks, "recall", 2),
        f"{alarms:.1f}",
        *median_and_p90,
    )


def _mean_figure(tracks: tuple[TrackScore, ...], name: str, digits: int = 3) -> str:
    values = [value for track in tracks if (value := getattr(track, name)) is not None]
    return f"{np.mean(values):.{digits}f}" if values else "–"
