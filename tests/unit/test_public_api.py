"""The public names: what `streamseg` exports, `docs/api.md` and the type checkers' imports are the same."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import streamseg
from streamseg import errors
from streamseg.wire import events

ROOT = Path(__file__).parents[2]
INIT = ast.parse((ROOT / "streamseg" / "__init__.py").read_text())


def test_the_reference_page_has_every_public_name_once_with_a_line_about_it():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    names = [name for name, _ in rows]
    assert sorted([*names, "__version__"]) == sorted(streamseg.__all__)
    assert all(len(line) > 15 for _, line in rows)


def test_type_checkers_see_the_names_that_are_exported():
    (block,) = [node for node in INIT.body if isinstance(node, ast.If)]
    imports = {alias.name: node.module for node in block.body for alias in node.names if alias.asname == alias.name}
    assert imports == streamseg._MODULES


@pytest.mark.parametrize("name", streamseg.__all__)
def test_every_name_can_be_imported_and_is_documented(name):
    value = getattr(streamseg, name)
    assert name in dir(streamseg)
    if callable(value):
        assert value.__doc__, name
    if name in streamseg._MODULES:
        assert value is getattr(import_module(streamseg._MODULES[name]), name)


def test_every_event_and_every_error_is_public():
    assert {kind.__name__ for kind in events.EVENT_TYPES.values()} <= set(streamseg.__all__)
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    assert {kind.__name__ for kind in kinds if issubclass(kind, errors.StreamsegError)} <= set(streamseg.__all__)


def test_events_are_matched_by_class():
    events = streamseg.segment([streamseg.Block(_noise(), 22_050)], sample_rate=22_050)
    seen = []
    for event in events:
        match event.data:
            case streamseg.StreamStarted(sample_rate=rate):
                seen.append(rate)
            case streamseg.StreamStopped(t=t):
                seen.append(t)
    assert seen == [22_050, 2.0]


def _noise():
    import numpy as np

    return np.random.default_rng(0).standard_normal((44_100, 1)).astype(np.float32) / 10


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'listen'"):
        streamseg.listen  # noqa: B018


def test_importing_the_package_loads_none_of_its_parts():
    program = "import sys, streamseg; print([name for name in sys.modules if name.split('.')[0] in {heavy}])"
    heavy = {"numba", "numpy", "river", "av", "websockets", "msgspec", "rich", "typer", "sounddevice"}
    done = subprocess.run(
        [sys.executable, "-c", program.format(heavy=heavy)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_subscribing_loads_no_engine():
    program = "import sys; from streamseg import subscribe, subscribe_sync, BoundaryConfirmed, UsageError; "
    program += "print([name for name in ('numba', 'numpy', 'river', 'av') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_written_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "streamseg/_version.py"
    assert f"\nversion: {streamseg.__version__}\n" in (ROOT / "CITATION.cff").read_text()
