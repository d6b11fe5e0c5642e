"""What the README, pyproject.toml and the lists of tests name exists, and no file names this machine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import typer
from side_by_side import ALONE, SLOWEST_FIRST, WITH_LIBROSA

from laws.test_layout import FILES, ROOT, imports
from streamseg.cli.app import app


def test_nothing_names_this_machine_or_a_registry():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        text = path.read_bytes()
        for word in (rb"/work/", rb"/root/", rb"pypi.org", rb"deb.debian", rb"registry.npmjs"):
            assert word not in text, f"{name} names {word.decode()}"


# --- the tests' own files


def test_what_is_said_of_single_tests_is_of_tests_that_exist():
    """A test that was renamed would lose its place or run beside others again, and nobody would see it."""
    for place in (*ALONE, *SLOWEST_FIRST, *WITH_LIBROSA):
        file, _, function = place.partition("::")
        paths = list((ROOT / "tests").rglob(file)) if "/" not in file else [ROOT / "tests" / file]
        assert paths, place
        assert paths[0].exists(), place
        assert not function or f"def {function}(" in paths[0].read_text(), place


def test_a_path_in_a_workflow_a_hook_or_a_script_exists():
    for file in (*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml", *ROOT.glob("scripts/*")):
        for path in re.findall(r"\b((?:tests|tools|streamseg|scripts|examples)/[\w./-]+\.\w+)", file.read_text()):
            assert (ROOT / path).exists(), f"{file.relative_to(ROOT)} names {path}"


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
        return {"python_ulid": "ulid", "audioop_lts": "audioop", "scikit_learn": "sklearn"}.get(name, name)

    imported = {name.partition(".")[0] for path in FILES for name, _ in imports(path)}
    needed = {module(need) for need in asked["dependencies"]}
    assert needed - imported - {"sounddevice", "audioop"} == set()  # the first by name, when asked for; pydub's own
    foreign = imported - set(sys.stdlib_module_names) - {"streamseg"}
    assert foreign <= needed | {module(need) for need in optional}
