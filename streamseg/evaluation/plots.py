"""Draws an evaluation: the predictions for each track beside its annotation, and reliability diagrams."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from streamseg.atomic_files import make_folder, write_atomically
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import AnnotatedFile, LabelledSpan
from streamseg.evaluation.calibration import ReliabilityDiagram
from streamseg.evaluation.evaluate import Evaluation, TrackPredictions, TrackScore
from streamseg.evaluation.timeliness import make_reliability_diagrams

_RELIABILITY = "reliability.png"
_HIT_COLOUR, _FALSE_COLOUR, _MISS_COLOUR = "#1a7f37", "#c62828", "#8a6d00"
_TRUE_COLOUR = "#000000"
_TRUE_ROW = -0.1  # foot of the row of true boundaries below the novelty, in heights of its axes
_COLOURS = (
    "#9ecae1",
    "#fdd49e",
    "#c7e9c0",
    "#dadaeb",
    "#fbb4ae",
    "#d9d9d9",
    "#fff3a3",
    "#b3cde3",
    "#e5d8bd",
    "#ccebc5",
)
_TICKS_S = (5, 15, 30, 60, 120, 300, 600, 1800)
_LABEL_WIDTH_SHARE = 0.012  # of the track, for two letters of a name


def list_picture_paths(folder: Path, tracks: Iterable[str]) -> list[Path]:
    """List the files that `draw_evaluation` may write for tracks of these names."""
    return [*(folder / f"{track}.png" for track in tracks), folder / _RELIABILITY]


def draw_evaluation(evaluation: Evaluation, folder: Path, *, replace: bool = True) -> list[Path]:
    """Draw one PNG file for each track and one of the reliability diagrams into a folder; return their paths.

    The folder is made if it is missing. replace: whether existing files may be replaced. Raises OutputError,
    UsageError.
    """
    make_folder(folder)
    paths = []
    for track in evaluation.tracks:
        figure = draw_track(track, evaluation.truth[track.track], evaluation.predictions[track.track])
        paths.append(_save(figure, folder / f"{track.track}.png", replace=replace))
    diagrams = {name: one for name, one in make_reliability_diagrams(evaluation.timeliness).items() if one.count}
    if diagrams:
        paths.append(_save(draw_reliability_diagrams(diagrams), folder / _RELIABILITY, replace=replace))
    return paths


def draw_track(track: TrackScore, truth: AnnotatedFile, predictions: TrackPredictions) -> Figure:
    """Draw one track: novelty with found, false and missed boundaries; true boundaries; true and predicted labels."""
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1.3))
    end = max(predictions.duration_s, truth.spans[-1].end)
    changes, matches = _match_changes(truth, predictions)
    hits = set(matches.values())
    if predictions.novelty:
        above.fill_between(*zip(*predictions.novelty), color="#90a4ae", alpha=0.6, linewidth=0)
    for begin, finish in changes:
        above.axvspan(begin, finish, color=_TRUE_COLOUR, alpha=0.18, linewidth=0)
        # Below the axis, where no found boundary covers it.
        above.axvspan(begin, finish, _TRUE_ROW, 0, color=_TRUE_COLOUR, linewidth=2.5, clip_on=False)
    for number, boundary in enumerate(predictions.boundaries):
        good = number in hits or not _is_scored(truth, boundary.t)
        above.axvline(boundary.t, color=_HIT_COLOUR if good else _FALSE_COLOUR, linewidth=1.2)
        above.annotate(
            "",
            (boundary.decided_t, 0.96),
            (boundary.t, 0.96),
            xycoords=("data", "axes fraction"),
            arrowprops={"arrowstyle": "->", "color": _HIT_COLOUR if good else _FALSE_COLOUR, "linewidth": 0.8},
        )
    for number, (begin, finish) in enumerate(changes):
        if number not in matches:
            above.plot((begin + finish) / 2, 0.05, "v", color=_MISS_COLOUR, transform=above.get_xaxis_transform())
    delay = f", decided {track.delay_median_s:.1f} s later (median)" if track.delay_median_s is not None else ""
    above.set_title(
        f"{track.track}: F {track.f:.2f} at 3 s, {len(matches)} of {len(changes)} boundaries found, "
        f"{track.estimated - len(matches)} false{delay}",
        loc="left",
    )
    above.set_ylabel("novelty")
    above.tick_params(bottom=False)
    above.set_ylim(bottom=0)
    _draw_legend(figure, above)
    lanes = [("true", truth.segments or truth.spans), ("predicted", predictions.sections)]
    for height, (_, spans) in zip((1, 0), lanes):
        _draw_lane(below, spans, height, end)
    below.set_yticks([1.4, 0.4], [name for name, _ in lanes])
    below.set_ylim(-0.1, 1.9)
    below.set_xlim(0, end)
    below.xaxis.set_major_locator(MultipleLocator(next((s for s in _TICKS_S if end / s < 20), _TICKS_S[-1])))
    below.xaxis.set_major_formatter(FuncFormatter(lambda t, _: f"{int(t) // 60}:{int(t) % 60:02d}"))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_reliability_diagrams(diagrams: dict[str, ReliabilityDiagram]) -> Figure:
    """Draw reliability diagrams side by side: the share of predictions that came true over the predicted probability.

    diagrams: by title. Each point is marked with its number of predictions.
    """
    figure = Figure(figsize=(4.4 * len(diagrams), 5.0), layout="constrained")
    for axes, (name, diagram) in zip(
        figure.subplots(1, len(diagrams), squeeze=False)[0], diagrams.items(), strict=True
    ):
        axes.plot([0, 1], [0, 1], "--", color="#9e9e9e", linewidth=1)
        axes.plot(diagram.probability, diagram.frequency, color="#1f77b4", linewidth=1)
        most = max(diagram.count)
        axes.scatter(
            diagram.probability, diagram.frequency, [20 + 180 * n / most for n in diagram.count], color="#1f77b4"
        )
        for probability, frequency, count in zip(diagram.probability, diagram.frequency, diagram.count, strict=True):
            above = frequency < 0.9
            axes.annotate(
                str(count),
                (probability, frequency),
                (0, 9 if above else -15),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axes.set_title(f"{name}\nerror {diagram.calibration_error:.3f}, {sum(diagram.count)} predictions", fontsize=10)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("observed share")
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.05, 1.08)
        axes.set_box_aspect(1)
    return figure


def _match_changes(
    truth: AnnotatedFile, predictions: TrackPredictions
) -> tuple[list[tuple[float, float]], dict[int, int]]:
    """Return the true boundaries (start, end), and the index of the predicted boundary that hits each."""
    times = [boundary.t for boundary in predictions.boundaries]
    if truth.kind == "transitions":
        return [(span.start, span.end) for span in truth.spans], dict(
            scores.score_mix_transitions(truth.spans, times).pairs
        )
    inner = scores.inner_boundaries(truth.spans)
    return [(t, t) for t in inner], dict(scores.match_boundaries(inner, times, 3.0))


def _is_scored(truth: AnnotatedFile, t: float) -> bool:
    return truth.kind == "transitions" or truth.spans[0].start < t < truth.spans[-1].end


def _draw_lane(axes: Axes, spans: tuple[LabelledSpan, ...], height: float, end: float) -> None:
    labels = list(dict.fromkeys(span.label for span in spans))
    for span in spans:
        colour = _COLOURS[labels.index(span.label) % len(_COLOURS)]
        axes.broken_barh([(span.start, span.end - span.start)], (height, 0.8), color=colour, edgecolor="white", lw=1)
        room = int((span.end - span.start) / end / _LABEL_WIDTH_SHARE)
        if room:
            text = span.label if len(span.label) <= 2 * room else span.label[: max(1, 2 * room - 1)] + "…"
            middle = ((span.start + span.end) / 2, height + 0.4)
            axes.annotate(text, middle, ha="center", va="center", fontsize=8, annotation_clip=True)


def _draw_legend(figure: Figure, axes: Axes) -> None:
    for colour, name in ((_HIT_COLOUR, "found, and when it was decided"), (_FALSE_COLOUR, "false")):
        axes.plot([], [], color=colour, label=name)
    axes.plot([], [], "v", color=_MISS_COLOUR, label="missed")
    axes.plot([], [], "|", color=_TRUE_COLOUR, markersize=8, markeredgewidth=2.5, label="true boundary")
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8)


def _save(figure: Figure, path: Path, *, replace: bool) -> Path:
    with write_atomically(path, replace=replace) as file:
        figure.savefig(file, format="png", dpi=rcParams["figure.dpi"] * 1.2)
    return path
