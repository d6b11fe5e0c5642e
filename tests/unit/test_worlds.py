"""Worlds scored each by itself, the worst first, with the checkerboard beside them."""

import re
import shutil

import numpy as np
import pytest

from streamseg.engine.features.texture import STEP_S, VECTOR_DIMS
from streamseg.errors import SourceNotFoundError
from streamseg.evaluation.checkerboard import HALF_S, NEAR_S, detect_texture_boundaries
from streamseg.evaluation.tracks import step_to_time_without_gaps
from streamseg.evaluation.worlds import find_world_folders
from streamseg.sources.demo_programme import list_demo_scenes
from tools.command import run


def stretches(*lengths, seed=0):
    """Texture of stretches that differ in timbre."""
    rng = np.random.default_rng(seed)
    levels = [np.full((length, VECTOR_DIMS), rng.normal(0, 1.0, VECTOR_DIMS)) for length in lengths]
    return np.concatenate(levels) + rng.normal(0, 0.3, (sum(lengths), VECTOR_DIMS))


class TestCheckerboard:
    def test_finds_the_changes_and_knows_them_when_the_second_half_was_heard(self):
        heard = detect_texture_boundaries(stretches(80, 60, 90)).boundaries
        found_at = [found.t for found in heard]
        for change in (80, 140):
            assert min(abs(t - step_to_time_without_gaps(change)) for t in found_at) <= STEP_S, found_at
        for found in heard:
            assert found.decided_t - found.t == pytest.approx(HALF_S + NEAR_S, abs=3 * STEP_S)

    def test_what_follows_changes_nothing_of_what_was_found(self):
        vectors = stretches(80, 60, 90, 70, seed=3)
        whole, part = (
            detect_texture_boundaries(vectors).boundaries,
            detect_texture_boundaries(vectors[:200]).boundaries,
        )
        assert len(part) == 3
        assert part == whole[:3]
        assert 0 < len(part) < len(whole)

    def test_a_narrower_copy_sounds_the_same(self):
        """It is the stream's own deviation that differences are measured by."""
        vectors = stretches(80, 60, 90)
        assert detect_texture_boundaries(0.2 * vectors).boundaries == detect_texture_boundaries(vectors).boundaries

    def test_too_short_to_compare(self):
        assert detect_texture_boundaries(stretches(20)).boundaries == ()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory, programme):
    folder = tmp_path_factory.mktemp("worlds")
    true = [(scene.start_s, scene.end_s) for scene in list_demo_scenes()]
    wrong = [(0.0, 12.0), (12.0, 31.0), (31.0, true[-1][1])]
    for name, spans in (("easy", true), ("hopeless", wrong)):
        (folder / name).mkdir()
        shutil.copy(programme, folder / name / "one.wav")
        rows = "".join(f"{start}\t{end}\t{k}\n" for k, (start, end) in enumerate(spans))
        (folder / name / "one.sections.tsv").write_text(rows)
    (folder / "empty").mkdir()
    return folder


def test_worlds_are_the_folders_with_annotated_sound(worlds, tmp_path):
    assert [path.name for path in find_world_folders(worlds)] == ["easy", "hopeless"]
    assert find_world_folders(worlds / "easy") == [worlds / "easy"]
    with pytest.raises(SourceNotFoundError, match="no annotated sound"):
        find_world_folders(tmp_path)


def test_the_worst_world_stands_first_with_the_checkerboard_beside_it(worlds):
    done = run("evaluate", worlds, "--profile", "broadcast", "--beside", "checkerboard")
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^ *(hopeless|easy|checkerboard) +1 ", done.stdout, re.MULTILINE)
    assert names == ["hopeless", "checkerboard", "easy", "checkerboard"], done.stdout
    assert re.search(r"easy +1 +1\.000", done.stdout), done.stdout


def test_one_file_of_rows_is_for_one_world(worlds, tmp_path):
    done = run("evaluate", worlds, "--csv", tmp_path / "scores.csv")
    assert done.returncode == 2
    assert "2 folders" in done.stderr


def test_one_track_is_counted_in_the_singular(worlds):
    assert run("evaluate", worlds / "easy", "--profile", "broadcast").stdout.startswith("1 track, ")
