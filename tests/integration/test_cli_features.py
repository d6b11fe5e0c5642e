import csv
import subprocess
import sys

import numpy as np
import pytest

import streamseg
from streamseg.feature_arrays import COLUMNS
from streamseg.outputs.feature_table import list_column_names
from tools.command import run
from tools.sound_files import pulsed_noise, write


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return write(tmp_path_factory.mktemp("features") / "song.wav", pulsed_noise(6.0))


def read_csv(path):
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], np.array(rows[1:], float)


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_every_format_holds_what_the_arrays_hold(song, tmp_path, suffix):
    out = tmp_path / f"song.{suffix}"
    done = run("features", song, "-o", out)
    assert (done.returncode, done.stdout) == (0, "")
    arrays = streamseg.extract_features(song)
    assert f"{len(arrays.time_s)} frames of 0:06" in done.stderr
    if suffix == "npz":
        with np.load(out) as found:
            assert set(found) == {"time_s", *COLUMNS}
            np.testing.assert_array_equal(found["time_s"], arrays.time_s)
            for name, array in arrays.items():
                np.testing.assert_array_equal(found[name], array)
        return
    whole = np.column_stack([arrays.time_s, *arrays.values()])
    if suffix == "csv":
        names, table = read_csv(out)
        np.testing.assert_allclose(table, whole, rtol=1e-8)
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        found = parquet.read_table(out)
        names = found.column_names
        np.testing.assert_array_equal(np.column_stack([found[name].to_numpy() for name in names]), whole)
    assert list(names) == list_column_names(COLUMNS)


def test_a_truncated_file_gives_its_rows_up_to_the_cut(song, tmp_path):
    cut = tmp_path / "cut.wav"
    cut.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
    done = run("features", cut, "-o", tmp_path / "cut.csv")
    assert done.returncode == 1
    assert "cut off" in done.stderr
    table = read_csv(tmp_path / "cut.csv")[1]
    assert 2.8 < table[-1, 0] < 3.0
    whole = streamseg.extract_features(song)
    np.testing.assert_allclose(table[:100, 1], whole["mfcc"][:100, 0], rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "out", "code", "said"),
    [
        ("song.wav", "song.txt", 2, "written as .npz, .csv, .parquet"),
        ("song.wav", "nowhere/song.csv", 1, "no folder"),
        ("nothing.wav", "nothing.csv", 2, "no file"),
        ("text.wav", "text.csv", 1, "text.wav"),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(commands, song, tmp_path, name, out, code, said):
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "song.wav").symlink_to(song)
    done = commands.run("features", tmp_path / name, "-o", tmp_path / out, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / out).exists()


def test_parquet_without_pyarrow_says_what_to_install(song, tmp_path):
    program = "import sys; sys.modules['pyarrow'] = None; from streamseg.cli import main; main()"
    arguments = ["features", str(song), "-o", str(tmp_path / "song.parquet")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "streamseg[parquet]" in done.stderr


def test_a_sound_shorter_than_a_frame_gives_an_empty_table(commands, tmp_path):
    path = write(tmp_path / "blip.wav", pulsed_noise(0.05))
    for suffix in ("npz", "csv", "parquet"):
        done = commands.run("features", path, "-o", tmp_path / f"blip.{suffix}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "blip.npz") as found:
        assert found["mfcc"].shape == (0, 20)
