"""Compiled kernels are kept wherever there is a place for them, and no longer than they hold."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from streamseg.cli.terminal import show_start
from streamseg.engine.kernels import call_at_first_compilation, is_compiling

HOUSE = Path(__file__).parents[2] / "streamseg"
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # no letters but ASCII's
LOOK = """
import numpy as np
from streamseg.engine.kernels import CACHE_IS_WRITABLE
from streamseg.engine.features.texture import copy_columns

kept = np.zeros((1, 1))
copy_columns(np.array([[0.0, 1.0]]), np.array([1]), kept)
assert kept[0, 0] == 1.0
hits, misses = copy_columns.stats.cache_hits, copy_columns.stats.cache_misses
print(CACHE_IS_WRITABLE, sum(hits.values()), sum(misses.values()))
"""


def copied(folder):
    """The package at another place, without what was compiled."""
    shutil.copytree(HOUSE, folder / "streamseg", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "streamseg"


@pytest.fixture
def copy(tmp_path):
    return copied(tmp_path)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A copy with what was compiled, for tests that damage that and see it mended: each leaves it whole again."""
    folder = tmp_path_factory.mktemp("compiled")
    copy = copied(folder)
    looked(copy, folder)
    return copy


def looked(copy, home, **more):
    """(whether kernels are kept, found in the cache, compiled) in a fresh process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NUMBA_"))}
    env = kept | {"PYTHONPATH": str(copy.parent), "HOME": str(home)} | more
    run = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=copy.parent, env=env, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    said = run.stdout.split()
    return said[0] == "True", int(said[1]), int(said[2])


def make_read_only(copy):
    """No folder can be made where compiled things would go; this holds for root as well."""
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()


def test_beside_the_package(copy, tmp_path):
    assert looked(copy, tmp_path) == (True, 0, 1)
    assert looked(copy, tmp_path) == (True, 1, 0)


def test_in_the_users_cache_where_the_package_is_read_only(copy, tmp_path):
    make_read_only(copy)
    assert looked(copy, tmp_path) == (True, 0, 1)
    assert looked(copy, tmp_path) == (True, 1, 0)


def test_nowhere_and_yet_it_hears(copy):
    make_read_only(copy)
    assert looked(copy, Path(os.devnull) / "home") == (False, 0, 1)


def test_as_long_as_the_files_around_it_say_the_same(copy, tmp_path):
    looked(copy, tmp_path)
    neighbour = copy / "engine" / "features" / "pitch.py"
    neighbour.touch()
    assert looked(copy, tmp_path) == (True, 1, 0)
    times = neighbour.stat()
    neighbour.write_text(neighbour.read_text().replace("OCTAVE_COST: Final = 0.04", "OCTAVE_COST: Final = 0.05"))
    os.utime(neighbour, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert looked(copy, tmp_path) == (True, 0, 1)


@pytest.mark.parametrize(
    "old", [b"cno.longer.here\nState\n.", b"cstreamseg.engine.features.texture\nGone\n.", b"", b"torn"]
)
def test_what_an_older_release_kept_does_no_harm(compiled, tmp_path, old):
    (index,) = (compiled / "engine" / "features" / "__pycache__").glob("texture.copy_columns*.nbi")
    index.write_bytes(pickle.dumps(numba.__version__, protocol=-1) + old)
    assert looked(compiled, tmp_path) == (True, 0, 1)
    assert looked(compiled, tmp_path) == (True, 1, 0)


@pytest.mark.parametrize("torn", [b"", b"torn", bytes(5000)])
def test_a_torn_file_is_compiled_again(compiled, tmp_path, torn):
    (code,) = (compiled / "engine" / "features" / "__pycache__").glob("texture.copy_columns*.nbc")
    code.write_bytes(torn)
    assert looked(compiled, tmp_path) == (True, 0, 1)
    assert looked(compiled, tmp_path) == (True, 1, 0)


def test_whatever_letters_the_system_knows(copy, tmp_path):
    assert looked(copy, tmp_path, **PLAIN) == (True, 0, 1)


COMPILED_LATE = """
import gc

from numba.core.dispatcher import Dispatcher

from streamseg.live import compile_kernels
from streamseg.engine import Segmenter
from streamseg.settings import PROFILES, make_settings
from streamseg.sources.demo_programme import SAMPLE_RATE, DemoProgramme


def compiled():
    kernels = [one for one in gc.get_objects() if isinstance(one, Dispatcher)]
    return {(kernel.py_func.__module__, kernel.py_func.__name__, str(each)) for kernel in kernels for each in
            kernel.signatures}


compile_kernels()
before = compiled()
for profile in PROFILES:
    programme = DemoProgramme()
    engine = Segmenter(sample_rate=SAMPLE_RATE, settings=make_settings(profile), telemetry=True)
    for block in programme:
        engine.push(block.samples)
    engine.finish()
print(len(before), sorted(compiled() - before))
"""


def test_warming_up_compiles_whatever_hearing_needs():
    done = subprocess.run([sys.executable, "-c", COMPILED_LATE], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    before, _, late = done.stdout.strip().partition(" ")
    assert int(before) > 10
    assert late == "[]"


def compile_two(package):
    """Compile a function for two types, as if it were of this package."""

    def same(x):
        return x

    same.__module__ = f"{package}.same"
    compiled_same = numba.njit(same)
    assert (compiled_same(1), compiled_same(1.0)) == (1, 1.0)


def test_the_first_compilation_of_ours_is_noticed():
    noticed = []
    with call_at_first_compilation(lambda: noticed.append(is_compiling())):
        compile_two("another")
        assert noticed == []
        compile_two("streamseg")
    assert noticed == [True]
    assert not is_compiling()


def test_a_start_says_that_it_compiles_only_when_it_does(capsys):
    with show_start("warming up"):
        pass
    assert capsys.readouterr().err == "warming up\n"
    with show_start("warming up"):
        compile_two("streamseg")
    assert "\ncompil" in capsys.readouterr().err
