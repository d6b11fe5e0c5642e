"""Scores, calibration, pictures, tuning: on small cases counted by hand, and as a user runs them."""

import csv
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamseg.engine.models.loader import load_boundary_model
from streamseg.engine.models.weights import read_boundary_model
from streamseg.errors import UsageError
from streamseg.evaluation.annotations import (
    AnnotatedFile,
    LabelledSpan,
    check_annotation_within_sound,
    find_annotated_files,
)
from streamseg.evaluation.calibration import fit_platt_scaling, make_reliability_diagram
from streamseg.evaluation.evaluate import TrackPredictions, score_track
from streamseg.evaluation.parallel import run_parallel
from streamseg.evaluation.scores import DetectedBoundary
from streamseg.evaluation.timeliness import (
    BoundaryStateChange,
    TimelinessCounts,
    make_reliability_diagrams,
    measure_timeliness,
)
from streamseg.evaluation.tune import calibrate_model
from streamseg.sources.demo_programme import list_demo_scenes
from tools.command import run, start

PNG = b"\x89PNG"


class TestCalibration:
    def test_by_hand(self):
        diagram = make_reliability_diagram([0.21, 0.29, 0.9, 0.9], [False, True, True, True])
        assert (diagram.probability, diagram.frequency, diagram.count) == (
            pytest.approx((0.25, 0.9)),
            (0.5, 1.0),
            (2, 2),
        )
        assert diagram.calibration_error == pytest.approx(0.5 * 0.25 + 0.5 * 0.1)

    def test_certainty_is_in_the_last_bin(self):
        assert make_reliability_diagram([1.0, 0.95], [True, True]).count == (2,)

    def test_what_is_as_likely_as_it_is_called_has_no_error(self):
        rng = np.random.default_rng(0)
        said = rng.uniform(size=20_000)
        assert (
            make_reliability_diagram(said.tolist(), (rng.uniform(size=len(said)) < said).tolist()).calibration_error
            < 0.02
        )

    def test_platt_finds_what_was_done_to_the_odds(self):
        rng = np.random.default_rng(1)
        log_odds = rng.normal(0, 2, 50_000)
        held = rng.uniform(size=len(log_odds)) < 1 / (1 + np.exp(-(2 * log_odds - 1)))
        assert fit_platt_scaling(1 / (1 + np.exp(-log_odds)), held) == pytest.approx((2, -1), abs=0.1)

    def test_with_little_to_learn_from_probabilities_stay(self):
        slope, shift = fit_platt_scaling(np.array([0.6, 0.9]), np.array([True, True]))
        assert abs(slope - 1) < 0.3
        assert abs(shift) < 0.3

    def test_a_calibrated_model_says_what_was_meant(self):
        from streamseg.engine.boundaries.classifier import BoundaryClassifier
        from streamseg.engine.features.texture import VECTOR_DIMS

        model = load_boundary_model("broadcast")
        before, after = BoundaryClassifier(model), BoundaryClassifier(calibrate_model(model, 0.5, 1.0))
        for vector in np.random.default_rng(2).normal(size=(60, VECTOR_DIMS)):
            said, mended = before.push(vector), after.push(vector)
        heard = said > 1e-6
        odds = np.log(said[heard] / (1 - said[heard]))
        assert np.log(mended[heard] / (1 - mended[heard])) == pytest.approx(0.5 * odds + 1, abs=1e-6)


MIX = AnnotatedFile(
    Path("mix.ogg"),
    "transitions",
    (
        LabelledSpan(60.0, 60.0, "cut:a>b"),
        LabelledSpan(118.0, 126.0, "linear:b>c"),
        LabelledSpan(200.0, 200.0, "cut:c>d"),
    ),
    (),
)


class TestPromptness:
    def test_by_hand(self):
        said = (
            BoundaryStateChange("b-1", "provisional", 60.5, 62.0, 0.5),
            BoundaryStateChange("b-1", "provisional", 60.1, 63.0, 0.7),
            BoundaryStateChange("b-1", "confirmed", 60.0, 66.0, 0.9),
            BoundaryStateChange("b-2", "provisional", 90.0, 93.0, 0.45),
            BoundaryStateChange("b-2", "retracted", None, 99.0, 0.0),
            BoundaryStateChange("b-3", "provisional", 121.0, 130.0, 0.6),
            BoundaryStateChange("b-3", "retracted", None, 140.0, 0.0),
            BoundaryStateChange("b-4", "confirmed", 200.1, 209.0, 0.8),
            BoundaryStateChange("b-5", "provisional", 250.0, 255.0, 0.5),
            BoundaryStateChange("b-5", "retracted", None, 256.0, 0.0, True),
        )
        assert measure_timeliness(MIX, said) == TimelinessCounts(
            sharp=2,
            early=1,
            provisional=3,
            retractions=2,
            stability=((0.5, True, True), (0.7, True, True), (0.45, False, False), (0.6, True, False)),
            confidence=((0.9, True), (0.8, True)),
        )

    def test_of_sections_only_what_lies_inside_counts(self):
        song = AnnotatedFile(
            Path("song.ogg"), "sections", (LabelledSpan(10.0, 50.0, "A"), LabelledSpan(50.0, 90.0, "B")), ()
        )
        said = (
            BoundaryStateChange("b-1", "confirmed", 9.0, 15.0, 0.9),
            BoundaryStateChange("b-2", "confirmed", 50.5, 53.5, 0.9),
            BoundaryStateChange("b-3", "confirmed", 92.0, 99.0, 0.9),
        )
        found = measure_timeliness(song, said)
        assert (found.sharp, found.early, found.confidence) == (1, 1, ((0.9, True),))
        assert make_reliability_diagrams([found])["confidence"].calibration_error == pytest.approx(0.1)


def square(n):
    return n * n


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_answers_for_each(jobs):
    assert dict(run_parallel(square, [(n,) for n in range(7)], jobs)) == {n: n * n for n in range(7)}


@pytest.fixture(scope="module")
def annotated(programme: Path, tmp_path_factory) -> Path:
    """The demo's programme twice, as two annotated files."""
    folder = tmp_path_factory.mktemp("annotated")
    truth = "".join(f"{scene.start_s}\t{scene.end_s}\t{scene.name}\n" for scene in list_demo_scenes())
    for name in ("one", "two"):
        shutil.copy(programme, folder / f"{name}.wav")
        (folder / f"{name}.sections.tsv").write_text(truth)
    return folder


def test_evaluate_writes_its_table_a_csv_and_pictures(annotated: Path, tmp_path: Path):
    options = ["--profile", "broadcast", "--csv", tmp_path / "scores.csv", "--pictures", tmp_path / "seen" / "here"]
    done = run("evaluate", annotated, *options, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    for figure in (
        r"F \(3 s\) +1\.000",
        r"F \(0\.5 s\)",
        r"delay, p90",
        r"sharp changes reported within 4 s +1\.000",
        r"provisional, retracted +0\.\d+",
        r"calibration error of confidence +0\.\d+ +10 predictions",
        r"labels, V",
    ):
        assert re.search(figure, done.stdout), f"{figure} in {done.stdout}"
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert [row["track"] for row in rows] == ["one", "two"]
    assert float(rows[0]["f"]) == 1.0
    drawn = sorted(path.name for path in (tmp_path / "seen" / "here").iterdir())
    assert drawn == ["one.png", "reliability.png", "two.png"]
    assert all((tmp_path / "seen" / "here" / name).read_bytes().startswith(PNG) for name in drawn)


@pytest.mark.parametrize(
    ("command", "part"), [("evaluate", "mir_eval"), ("evaluate", "matplotlib"), ("tune", "lightgbm")]
)
def test_what_is_not_installed_is_named_with_its_extra(annotated: Path, tmp_path: Path, command, part):
    options = ["--pictures", "x"] if command == "evaluate" else ["-o", "x"]
    script = f"import sys; sys.modules[{part!r}] = None; from streamseg.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, command, annotated, *options],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"needs {part}" in done.stderr
    assert "streamseg[evaluation]" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_tune_says_what_it_gains_and_writes_a_model(annotated: Path, tmp_path: Path):
    """It begins with a model that is never sure; that is mended by what was annotated."""
    deaf = tmp_path / "deaf.npz"
    replace(load_boundary_model("broadcast"), policies=np.array([[0.0, 0.999, 0.0, 28.0]])).save(deaf)
    done = run("tune", annotated, "--profile", "broadcast", "--model", deaf, "-o", tmp_path / "mine.npz")
    assert done.returncode == 0, done.stderr
    assert "2 files" in done.stdout
    assert "no new trees were trained" in done.stdout
    before = float(re.search(r"as it is +(\d\.\d+)", done.stdout).group(1))
    after = float(re.search(r"fitted +(\d\.\d+)", done.stdout).group(1))
    assert before < 0.7 < 0.9 <= after
    mine = read_boundary_model((tmp_path / "mine.npz").read_bytes(), "mine")
    assert mine.hash in done.stdout
    scored = run("evaluate", annotated, "--profile", "broadcast", "--model", tmp_path / "mine.npz")
    assert re.search(r"F \(3 s\) +(1\.000|0\.9)", scored.stdout), scored.stdout


def test_tune_keeps_what_nothing_beats(annotated: Path, tmp_path: Path):
    done = run("tune", annotated, "--profile", "broadcast", "-o", tmp_path / "mine")
    assert done.returncode == 0, done.stderr
    assert "no fit was better" in done.stdout
    assert read_boundary_model((tmp_path / "mine").read_bytes(), "mine").hash == load_boundary_model("broadcast").hash


def test_tune_wants_enough_to_tell(commands, annotated: Path, tmp_path: Path):
    for file in annotated.glob("one.*"):
        shutil.copy(file, tmp_path)
    done = commands.run("tune", tmp_path, "-o", tmp_path / "mine.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert "2 annotated files with 8 changes" in done.stderr
    assert f"{tmp_path} has 1 with 5: annotate more" in done.stderr


@pytest.mark.parametrize("command", [("evaluate",), ("tune", "-o", "mine.npz")])
@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ("", 1, "the file is empty"),
        ("0\t20\t_\n20\t78\t_\n", 1, "all labels are _"),
        ("0\t20\tA\n\n", 2, "found an empty line"),
        ("0\t20\tA\n20\tend\tB\n", 2, "expected start, end (seconds) and label"),
        ("0\t20\tA\n20\tnan\tB\n", 2, "is no part of a sound"),
        ("-1\t20\tA\n", 1, "is no part of a sound"),
        ("0\t20\tA\n30\t20\tB\n", 2, "the end must be after the start"),
        ("0\t20\tA\n20\t20\tB\n", 2, "the end must be after the start"),
        ("0\t20\tA\n40\t78\tB\n20\t40\tC\n", 3, "sort the lines by start"),
        ("0\t20\tA\n20\t84\tB\n", 2, "ends at 84 s, but one.wav is only about 78 s long"),
    ],
)
def test_an_annotation_that_makes_no_sense_is_refused(
    commands, annotated: Path, tmp_path: Path, command, rows, line, reason
):
    for path in annotated.iterdir():
        (tmp_path / path.name).symlink_to(path)
    annotation = tmp_path / "one.sections.tsv"
    annotation.unlink()
    annotation.write_text(rows)
    (tmp_path / "two.sections.tsv").unlink()
    (tmp_path / "two.sections.tsv").write_text("".join(f"{7 * k}\t{7 * k + 7}\t{k}\n" for k in range(11)))
    done = commands.run(command[0], tmp_path, *command[1:], cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"streamseg: {annotation}, line {line}: " in done.stderr
    assert reason in done.stderr
    assert "unexpected" not in done.stderr
    assert not (tmp_path / "mine.npz").exists()


def test_a_transition_may_be_a_moment_and_an_end_somewhat_late(tmp_path: Path):
    (tmp_path / "mix.wav").touch()
    (tmp_path / "mix.transitions.tsv").write_text("60\t60\tcut:a>b\n90\t98\tlinear:b>c\n")
    (tmp_path / "mix.segments.tsv").write_text("0\t60\ta\n60\t94\tb\n94\t120\tc\n")
    (mix,) = find_annotated_files(tmp_path)
    assert [span.end for span in mix.spans] == [60, 98]
    check_annotation_within_sound(mix, 116.0)
    with pytest.raises(UsageError, match=r"mix\.segments\.tsv, line 3: ends at 120 s"):
        check_annotation_within_sound(mix, 114.0)


@pytest.mark.parametrize("command", [("evaluate",), ("tune", "-o", "mine.npz")])
def test_ctrl_c_ends_it_quietly(annotated: Path, tmp_path: Path, command):
    for number in range(8):
        (tmp_path / f"{number}.wav").symlink_to(annotated / "one.wav")
        (tmp_path / f"{number}.sections.tsv").symlink_to(annotated / "one.sections.tsv")
    with start(command[0], tmp_path, *command[1:], "--jobs", "2", cwd=tmp_path) as running:
        running.wait_for_message("1/8")
        code, _, messages = running.stop(signal.SIGINT)
    assert code == 130
    assert "Traceback" not in messages
    assert not (tmp_path / "mine.npz").exists()


def test_a_true_boundary_is_seen_where_a_found_one_is_at_the_same_time():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from streamseg.evaluation.plots import draw_track

    spans = tuple(LabelledSpan(t, t + 50.0, "A") for t in (0.0, 50.0, 100.0))
    truth = AnnotatedFile(Path("one.wav"), "sections", spans, ())
    predictions = TrackPredictions(150.0, tuple(DetectedBoundary(t, t + 2.0) for t in (50.0, 75.0)), spans)
    figure = draw_track(score_track(truth, predictions), truth, predictions)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    below = (
        figure.axes[0].get_xaxis_transform().transform([(t, -0.05) for t in (50.0, 75.0, 100.0)]).round().astype(int)
    )
    assert [bool(pixels[-y, x, :3].max() < 50) for x, y in below] == [True, False, True]
