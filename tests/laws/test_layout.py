"""The floor plan: which room may import which, what each room may use, and how long a file may be."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "streamseg"
FILES = sorted(HOUSE.rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}

GROUND = {"errors", "settings", "blocks", "atomic_files"}
# Each room, and which other rooms it may import: a folder of streamseg/, or a module that lies beside the folders.
MAY_IMPORT = {
    "_version": set(),
    "errors": set(),
    "blocks": {"errors"},
    "settings": {"errors"},
    "atomic_files": {"errors"},
    "wire": GROUND | {"_version"},
    "engine": GROUND | {"wire", "_version"},
    "decoding": set(),  # the child process that decodes files: it loads nothing else of the package
    "sources": GROUND | {"wire", "decoding"},
    "outputs": GROUND | {"wire"},
    "client": GROUND | {"wire", "_version"},
    "history": GROUND | {"wire"},
    "server": GROUND | {"wire", "history"},
    "feature_arrays": GROUND | {"wire", "engine", "sources"},
    "evaluation": GROUND | {"wire", "engine", "sources"},
    "live": GROUND | {"wire", "engine", "sources", "history", "outputs"},
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)  # the only place where all rooms meet
EXEMPT = {"__init__", "__main__"}  # the first re-exports public names, the second is the command line

LONGEST = 300

# The engine is pure: no clock, no thread, no file, no socket, no log. So it may use this and nothing else.
ENGINE_MAY_USE = {
    "__future__", "collections", "copy", "dataclasses", "enum", "functools", "hashlib", "heapq", "itertools", "math",
    "typing", "msgspec", "numba", "numpy", "river", "rocket_fft",
}  # fmt: skip
ENGINE_EXCEPT = {  # weights and compiled code are read from files; no sound passes here
    "kernels.py": {"pickle", "pathlib", "re"},
    "models/loader.py": {"importlib"},
    "models/weights.py": {"pathlib"},
    "packed_arrays.py": {"io", "zipfile"},
}
IMPURE_BUILTINS = {"open", "input", "print", "exec", "eval", "breakpoint", "__import__"}
IMPURE_NUMPY = {"savetxt", "fromfile", "tofile", "memmap", "random"}

NAMES_WITHOUT_CONTENT = {"utils", "util", "base", "core", "helpers", "helper", "common", "manager", "misc", "tools"}


def room(path):
    """`engine` for streamseg/engine/x.py, `errors` for streamseg/errors.py."""
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def files_of(a_room):
    return [path for path in FILES if room(path) == a_room]


@functools.cache
def nodes(path):
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path):
    """Yield every module imported anywhere in a file, and the line; for `from a import b`, a.b.

    A string that is the name of a module of ours counts: importlib.import_module and importlib.resources take those.
    """
    for node in nodes(path):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            for name in node.names:
                yield f"{node.module}.{name.name}", node.lineno
        elif isinstance(node, ast.Constant) and node.value in MODULES and node.value != "streamseg":
            yield node.value, node.lineno


def rooms_imported(path):
    """Yield each room of ours that a file imports, and the line."""
    for name, line in imports(path):
        package, _, rest = name.partition(".")
        if package == "streamseg" and rest != "__version__":
            yield rest.partition(".")[0], line


def calls(path):
    """Yield each call in a file: the function's name, without what it is an attribute of, and the node."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", "")), node


def where(path):
    return path.relative_to(HOUSE).as_posix()


# --- rooms


def test_every_room_is_in_the_floor_plan():
    assert {room(path) for path in FILES} - EXEMPT <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=where)
def test_a_room_imports_only_what_it_may(path):
    here = room(path)
    if here in EXEMPT:
        return
    allowed = MAY_IMPORT[here] | {here}
    for there, line in rooms_imported(path):
        assert there in allowed, f"{where(path)}:{line}: {here} must not import {there}"


def test_nobody_in_the_house_imports_the_tools_or_the_tests():
    for path in FILES:
        for name, line in imports(path):
            assert name.partition(".")[0] not in {"tools", "tests"}, f"{where(path)}:{line}"


def test_what_is_imported_by_a_computed_name_is_not_ours():
    """import_module with something else than a constant could hide an import from this file's tests."""
    computed = {
        where(path)
        for path in FILES
        for name, call in calls(path)
        if name in {"import_module", "__import__"} and not isinstance(call.args[0], ast.Constant)
    }
    # the public names, of a dict of constants; and fcntl or msvcrt, whichever the system has
    assert computed <= {"__init__.py", "history/file_lock.py"}


def circles(graph):
    """Return the nodes that can be reached from themselves."""

    def reached(start):
        seen, ahead = set(), [start]
        while ahead:
            for neighbour in graph[ahead.pop()] - seen:
                seen.add(neighbour)
                ahead.append(neighbour)
        return seen

    return {node for node in graph if node in reached(node)}


@functools.cache
def import_graph():
    """Return {module: the modules of ours it imports}. Without streamseg/__init__.py, which re-exports lazily."""
    graph = {}
    for module, path in MODULES.items():
        names = {name if name in MODULES else name.rpartition(".")[0] for name, _ in imports(path)}
        graph[module] = (names & set(MODULES)) - {module, "streamseg"}
    return graph


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == {"a", "b", "c"}


def test_no_circle_of_files():
    assert not circles(import_graph())


# --- what a room may use


@pytest.mark.parametrize("path", files_of("engine"), ids=where)
def test_the_engine_is_pure(path):
    allowed = ENGINE_MAY_USE | ENGINE_EXCEPT.get(path.relative_to(HOUSE / "engine").as_posix(), set()) | {"streamseg"}
    for name, line in imports(path):
        package = name.partition(".")[0]
        assert package in allowed, f"{where(path)}:{line}: the engine must not use {package}"
    for node in nodes(path):
        if isinstance(node, ast.Name):
            assert node.id not in IMPURE_BUILTINS, f"{where(path)}:{node.lineno}: {node.id}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            assert node.attr not in IMPURE_NUMPY, f"{where(path)}:{node.lineno}: np.{node.attr}"


def test_every_assertion_says_why_it_can_never_fail():
    """It is gone under `python -O`, and its message is for nobody: what a user did wrong is an error."""
    for path in FILES:
        lines = path.read_text().splitlines()
        for node in nodes(path):
            if isinstance(node, ast.Assert):
                line = lines[node.lineno - 1]
                assert re.search(r"# noqa: S101  \w+", line), f"{where(path)}:{node.lineno}"


def test_only_the_command_line_prints():
    for path in FILES:
        for name, call in calls(path):
            assert name != "print" or room(path) == "cli", f"{where(path)}:{call.lineno}"


def test_the_server_never_sees_samples():
    for path in files_of("server"):
        for name, line in imports(path):
            assert not name.startswith(("numpy", "streamseg.blocks")), f"{where(path)}:{line}"


def test_portaudio_is_loaded_by_a_function_only():
    """`import sounddevice` initialises PortAudio: only code that runs for a microphone may do so."""
    for path in FILES:
        for name, line in imports(path):
            assert not name.startswith("sounddevice"), f"{where(path)}:{line}"
        for statement in ast.parse(path.read_text()).body:
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                assert "import_module('sounddevice')" not in ast.unparse(statement), where(path)


# --- files


@pytest.mark.parametrize("path", FILES, ids=where)
def test_a_name_says_something_and_a_file_is_one_thing(path):
    words = {word for part in path.relative_to(ROOT).parts for word in re.split(r"[_.]", part)}
    assert not words & NAMES_WITHOUT_CONTENT, path
    length = len(path.read_text().splitlines())
    assert length <= LONGEST, f"{where(path)} has {length} lines: it is probably two things"


def test_a_test_file_is_one_thing_too():
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_the_median_file_is_short():
    lengths = sorted(len(path.read_text().splitlines()) for path in FILES)
    assert lengths[len(lengths) // 2] <= 130


def test_every_exception_of_the_engine_is_needed():
    for name, packages in ENGINE_EXCEPT.items():
        assert packages <= {package.partition(".")[0] for package, _ in imports(HOUSE / "engine" / name)}, name


def test_every_module_says_what_it_is():
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
