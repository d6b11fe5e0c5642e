"""The floor plan: who may import whom, what nothing is called, how long a file is, and what the README tells to run."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from streamseg.cli.app import app

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "streamseg"
FILES = sorted(HOUSE.rglob("*.py"))

FLOOR = {
    "errors", "blocks", "settings", "events", "envelope", "weights", "memory", "printable", "label_names",
    "destinations",
}  # fmt: skip
# Each room, and which other rooms it may import. The base floor has an order of its own.
MAY_IMPORT = {
    "errors": set(),
    "blocks": {"errors"},
    "settings": {"errors"},
    "events": {"errors"},
    "envelope": {"errors", "events"},
    "destinations": {"errors"},
    "weights": {"errors", "settings", "destinations"},
    "memory": {"errors"},
    "printable": set(),
    "label_names": {"errors", "printable"},
    "engine": FLOOR,
    "decoding": set(),  # what the decoding child runs: it loads nothing else of ours
    "sources": FLOOR | {"decoding"},
    "outputs": FLOOR,
    "client": FLOOR,
    "feature_arrays": FLOOR | {"engine", "sources"},
    "server": FLOOR,
    "evaluation": FLOOR | {"engine", "sources"},
    "fleet": FLOOR | {"engine", "sources", "server"},
    "cli": FLOOR | {"engine", "sources", "outputs", "client", "server", "evaluation", "fleet", "feature_arrays"},
}
EXEMPT = {"__init__", "__main__"}  # the first re-exports public names, the second is the command line

# The engine is pure: no clock, no thread, no file, no socket, no log. So it may use this and nothing else.
ENGINE_MAY_USE = {
    "__future__", "collections", "copy", "dataclasses", "enum", "functools", "hashlib", "heapq", "itertools", "math",
    "typing", "msgspec", "numba", "numpy", "river", "rocket_fft",
}  # fmt: skip
ENGINE_EXCEPT = {  # how old compiled code is, trained numbers: nothing of the sound
    "kernel.py": {"pickle", "pathlib", "re"},
    "models/sound.py": {"importlib", "io"},
}

NAMES_THAT_SAY_NOTHING = {"utils", "util", "base", "core", "helpers", "helper", "common", "manager", "misc", "tools"}
LONGEST = 400


def room(path):
    """`engine` for streamseg/engine/x.py, `client` for streamseg/client/session.py."""
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imports(path):
    """Every module imported anywhere in a file, with the line; of `from a import b`, both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            for name in node.names:
                yield f"{node.module}.{name.name}", node.lineno


def files_of(a_room):
    return [path for path in FILES if room(path) == a_room]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_room_imports_only_what_it_may(path):
    here = room(path)
    if here in EXEMPT:
        return
    assert here in MAY_IMPORT, f"{here} is not in the floor plan"
    for name, line in imports(path):
        house, _, rest = name.partition(".")
        if house != "streamseg" or rest == "__version__":
            continue
        there = rest.partition(".")[0]
        assert there == here or there in MAY_IMPORT[here], f"{path}:{line}: {here} must not import {there}"


@pytest.mark.parametrize("path", files_of("engine"), ids=lambda path: path.name)
def test_the_engine_is_pure(path):
    allowed = ENGINE_MAY_USE | ENGINE_EXCEPT.get(path.relative_to(HOUSE / "engine").as_posix(), set()) | {"streamseg"}
    for name, line in imports(path):
        package = name.partition(".")[0]
        assert package in allowed, f"{path}:{line}: the engine must not use {package}"


def test_the_server_never_sees_samples():
    for path in files_of("server"):
        assert not [line for name, line in imports(path) if name.startswith(("numpy", "streamseg.blocks"))], path


def test_portaudio_is_imported_by_nobody_at_start():
    for path in FILES:
        assert not [line for name, line in imports(path) if name.startswith("sounddevice")], path


def test_the_engine_asserts_nothing_of_a_user_and_nobody_prints_but_the_terminal():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                assert room(path) == "cli", f"{path}:{node.lineno} prints"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_name_says_something_and_a_file_is_one_thing(path):
    words = {word for part in path.relative_to(ROOT).parts for word in re.split(r"[_.]", part)}
    assert not words & NAMES_THAT_SAY_NOTHING, path
    length = len(path.read_text().splitlines())
    assert length <= LONGEST, f"{path} has {length} lines: it is probably two things"


def test_most_files_are_short():
    lengths = [len(path.read_text().splitlines()) for path in FILES]
    assert sum(length > 300 for length in lengths) <= len(lengths) / 10


def test_every_module_says_what_it_is():
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_nothing_names_this_machine_or_a_registry():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        text = path.read_bytes()
        for word in (rb"/work/", rb"/root/", rb"pypi.org", rb"deb.debian", rb"registry.npmjs"):
            assert word not in text, f"{name} names {word.decode()}"


# --- what the README tells to run


def readme_commands():
    """The lines of the README's shell blocks."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_two_commands_do_everything_and_ci_runs_one_of_them():
    scripts = [line for line in readme_commands() if line.startswith("sh scripts/")]
    assert {line.split()[1] for line in scripts} == {"scripts/demo.sh", "scripts/test.sh"}
    for line in scripts:
        assert (ROOT / line.split()[1]).is_file()
    steps = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert steps[-1] == "sh scripts/test.sh"


def test_every_streamseg_command_in_the_readme_exists_with_its_flags():
    commands = typer.main.get_command(app).commands
    for line in readme_commands():
        for call in re.findall(r"(?:^|\| *)streamseg ([^|>&#]*)", line):
            name, *words = call.split()
            assert name in commands, f"README: no command {name!r} in {line!r}"
            known = {option for parameter in commands[name].params for option in parameter.opts} | {"--help"}
            for word in words:
                if re.match(r"--?[a-z]", word):
                    assert word.partition("=")[0] in known, f"README: {name} has no {word} in {line!r}"


def test_what_is_installed_is_what_is_imported():
    """Every package that streamseg imports is asked for, with a reason beside it; none is asked for in vain."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [need for needs in asked["optional-dependencies"].values() for need in needs]

    def module(need):
        name = re.split(r"[\s>=<\[;]", need)[0].lower().replace("-", "_")
        return {"python_ulid": "ulid", "audioop_lts": "audioop"}.get(name, name)

    imported = {name.partition(".")[0] for path in FILES for name, _ in imports(path)}
    needed = {module(need) for need in asked["dependencies"]}
    assert needed - imported - {"sounddevice", "audioop"} == set()  # the first by name, when asked for; pydub's own
    import sys

    foreign = imported - set(sys.stdlib_module_names) - {"streamseg"}
    assert foreign <= needed | {module(need) for need in optional}
