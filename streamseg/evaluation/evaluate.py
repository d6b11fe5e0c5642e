"""Runs the program over annotated sound and scores its events, for `streamseg evaluate`.

Every file goes through the source and the segmenter that `analyze` uses, in one causal pass.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from streamseg.atomic_files import write_atomically
from streamseg.engine import segment
from streamseg.engine.models.weights import BoundaryModel
from streamseg.evaluation import scores, sound_class_scores, timeliness
from streamseg.evaluation.annotations import (
    AnnotatedFile,
    LabelledSpan,
    TruthKind,
    check_annotation_within_sound,
    find_annotated_files,
)
from streamseg.evaluation.parallel import run_parallel
from streamseg.evaluation.scores import DetectedBoundary
from streamseg.evaluation.timeliness import BoundaryStateChange, TimelinessCounts
from streamseg.settings import Settings
from streamseg.sources import open_source
from streamseg.wire.events import (
    BoundaryConfirmed,
    BoundaryProvisional,
    BoundaryRetracted,
    Event,
    Novelty,
    SectionClosed,
    SoundChanged,
    StreamStopped,
)


@dataclass(frozen=True, slots=True)
class TrackPredictions:
    """What the program predicted for one file: boundaries, labelled sections, and changes of the sound classes.

    boundaries: confirmed ones. sections: closed ones with their labels, `?` without one. sound: changes of the sound
    classes. boundary_history: all decisions about boundaries, in order. novelty: pairs of (stream seconds, novelty).
    """

    duration_s: float
    boundaries: tuple[DetectedBoundary, ...]
    sections: tuple[LabelledSpan, ...]
    sound: tuple[SoundChanged, ...] = ()
    boundary_history: tuple[BoundaryStateChange, ...] = ()
    novelty: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class TrackScore:
    """The scores of one file; a score that the kind of annotation does not allow is None.

    true, estimated: number of boundaries annotated, and predicted. precision, recall, f: of boundaries, at 3 s. f_05: F
    at 0.5 s. delays_s: from each boundary that was found to its decision, in seconds. pairwise_f, v_measure: of labels.
    realtime_factor: seconds of sound per second of computing.
    """

    track: str
    kind: str
    duration_s: float
    realtime_factor: float
    true: int
    estimated: int
    precision: float
    recall: float
    f: float
    f_05: float | None
    f_untrimmed: float | None
    f_05_untrimmed: float | None
    false_alarms_per_h: float
    delay_median_s: float | None
    pairwise_f: float | None
    v_measure: float | None
    delays_s: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of all files of a folder, with predictions and annotations by track name (the stem of the file)."""

    tracks: tuple[TrackScore, ...]
    predictions: dict[str, TrackPredictions]
    truth: dict[str, AnnotatedFile]

    @property
    def timeliness(self) -> list[TimelinessCounts]:
        """For each track, the counts of early and of retracted boundaries, and whether each prediction came true."""
        return [
            timeliness.measure_timeliness(truth, self.predictions[name].boundary_history)
            for name, truth in self.truth.items()
        ]

    def summary_rows(self) -> list[tuple[str, str, str]]:
        """Format each score that exists as a row of (title, mean or median, 95 % interval over tracks or "")."""
        rows = []
        for name, title in (
            ("f", "F (3 s)"),
            ("f_05", "F (0.5 s)"),
            ("precision", "precision (3 s)"),
            ("recall", "recall (3 s)"),
            ("f_untrimmed", "F (3 s), untrimmed"),
            ("f_05_untrimmed", "F (0.5 s), untrimmed"),
            ("false_alarms_per_h", "false alarms an hour"),
            ("pairwise_f", "labels, pairwise F"),
            ("v_measure", "labels, V"),
        ):
            values = [value for track in self.tracks if (value := getattr(track, name)) is not None]
            if values:
                low, high = scores.bootstrap_interval(values)
                rows.append((title, f"{np.mean(values):.3f}", f"{low:.3f} to {high:.3f}"))
        delays = [delay for track in self.tracks for delay in track.delays_s]
        if delays:
            rows.append(("delay, median", f"{np.median(delays):.1f} s", ""))
            rows.append(("delay, p90", f"{np.percentile(delays, 90):.1f} s", ""))
        rows += timeliness.summarise_timeliness(self.timeliness)
        rows += sound_class_scores.summarise_sound_class(
            [
                sound_class_scores.ProgrammeToScore(truth.segments, self.predictions[name].sound)
                for name, truth in self.truth.items()
                if sound_class_scores.is_programme(truth.segments)
            ]
        )
        speed = [track.realtime_factor for track in self.tracks]
        rows.append(("speed, median", f"{np.median(speed):.0f} x realtime", ""))
        return rows

    def write_csv(self, path: Path, *, replace: bool = False) -> None:
        """Write the scores as a CSV file with one row for each track.

        replace: whether an existing file may be replaced. Raises OutputError, UsageError.
        """
        rows = [asdict(track) for track in self.tracks]
        for row in rows:
            row["delays_s"] = " ".join(f"{delay:.2f}" for delay in row["delays_s"])
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        with write_atomically(path, replace=replace) as file:
            file.write(table.getvalue().encode())


class TrackRun(NamedTuple):
    """The predictions for one file, and the speed: seconds of sound per second of computing."""

    predictions: TrackPredictions
    realtime_factor: float


def run_track(path: Path, settings: Settings, model: BoundaryModel | None = None) -> TrackRun:
    """Analyse one sound file in this process; return the predictions and the speed, seconds of sound per second.

    model: the boundary model; None: the one that is shipped for the settings' profile.
    """
    began = perf_counter()
    predictions = collect_predictions(segment(open_source(str(path)), settings, model=model, telemetry=True))
    return TrackRun(predictions, predictions.duration_s / (perf_counter() - began))


def collect_predictions(events: Iterable[Event]) -> TrackPredictions:
    """Convert the events of one run to the predictions that are scored."""
    boundaries, sections, sound, history, novelty, duration_s = [], [], [], [], [], 0.0
    for event in events:
        match event.data:
            case BoundaryProvisional(boundary_id=name, t=t, decided_t=decided_t, stability=stability):
                history.append(BoundaryStateChange(name, "provisional", t, decided_t, stability))
            case BoundaryConfirmed(boundary_id=name, t=t, decided_t=decided_t) as confirmation:
                boundaries.append(DetectedBoundary(t, decided_t))
                history.append(
                    BoundaryStateChange(name, "confirmed", t, decided_t, confirmation.confidence, confirmation.at_end)
                )
            case BoundaryRetracted(boundary_id=name, decided_t=decided_t, at_end=at_end):
                history.append(BoundaryStateChange(name, "retracted", None, decided_t, 0.0, at_end))
            case SectionClosed(start=start, end=end, label=label):
                sections.append(LabelledSpan(start, end, label or "?"))
            case SoundChanged() as change:
                sound.append(change)
            case Novelty(t=t, value=value):
                novelty.append((t, value))
            case StreamStopped(t=t):
                duration_s = t
    return TrackPredictions(
        duration_s, tuple(boundaries), tuple(sections), tuple(sound), tuple(history), tuple(novelty)
    )


def score_track(
    track: AnnotatedFile, predictions: TrackPredictions, realtime_factor: float = float("nan")
) -> TrackScore:
    """Score the predictions for one file against its annotation.

    realtime_factor: speed of the run, copied to the score; NaN if it was not measured.
    """
    start, end = track.spans[0].start, track.spans[-1].end
    if track.kind == "transitions":
        truth = [(span.start + span.end) / 2 for span in track.spans]
        inside = list(predictions.boundaries)
        score, pairs = scores.score_mix_transitions(track.spans, [boundary.t for boundary in inside])
        narrow = whole = narrow_whole = None
    else:
        truth = scores.inner_boundaries(track.spans)
        inside = [boundary for boundary in predictions.boundaries if start < boundary.t < end]
        estimates = [boundary.t for boundary in inside]
        score = scores.score_detection(truth, estimates, 3.0)
        narrow = scores.score_detection(truth, estimates, 0.5)
        whole = scores.score_untrimmed(truth, estimates, start, end, 3.0)
        narrow_whole = scores.score_untrimmed(truth, estimates, start, end, 0.5)
        pairs = scores.match_boundaries(truth, estimates, 3.0)
    delays = tuple(inside[estimate].decided_t - truth[true] for true, estimate in pairs)
    pairwise, v = (None, None)
    if track.segments and predictions.sections:
        pairwise, v = scores.score_labels(track.segments, list(predictions.sections))
    return TrackScore(
        track=track.audio.stem,
        kind=track.kind,
        duration_s=predictions.duration_s,
        realtime_factor=realtime_factor,
        true=len(truth),
        estimated=len(inside),
        precision=score.precision,
        recall=score.recall,
        f=score.f,
        f_05=narrow.f if narrow else None,
        f_untrimmed=whole.f if whole else None,
        f_05_untrimmed=narrow_whole.f if narrow_whole else None,
        false_alarms_per_h=(len(inside) - len(pairs)) / predictions.duration_s * 3600
        if predictions.duration_s
        else 0.0,
        delay_median_s=float(np.median(delays)) if delays else None,
        pairwise_f=pairwise,
        v_measure=v,
        delays_s=delays,
    )


def evaluate_folder(
    folder: Path,
    settings: Settings,
    *,
    truth: TruthKind = "auto",
    model: BoundaryModel | Mapping[str, BoundaryModel] | None = None,
    jobs: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Run the program over every annotated file of a folder and score the predictions.

    model: the boundary model; a mapping has one for each file's stem, for example trained without that file; None: the
    shipped one. truth: the kind of annotation, see `find_annotated_files`. jobs: number of processes. progress: called
    after each file with (files done, files in all, name). Raises SourceNotFoundError when there is nothing to score,
    UsageError when an annotation cannot be scored.
    """
    files = find_annotated_files(folder, truth)
    work = [
        (file.audio, settings, model.get(file.audio.stem) if isinstance(model, Mapping) else model) for file in files
    ]
    runs: dict[str, TrackRun] = {}
    for number, run in run_parallel(run_track, work, jobs):
        check_annotation_within_sound(files[number], run.predictions.duration_s)
        name = files[number].audio.stem
        runs[name] = run
        if progress is not None:
            progress(len(runs), len(files), name)
    return Evaluation(
        tracks=tuple(score_track(file, *runs[file.audio.stem]) for file in files),
        predictions={file.audio.stem: runs[file.audio.stem].predictions for file in files},
        truth={file.audio.stem: file for file in files},
    )
