"""Documentation: links, paths and commands are valid; doctests and the Python blocks of the pages in docs/ run."""

import doctest
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from streamseg.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = {path.name: re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) for path in ROOT.glob("docs/*.md")}
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "streamseg").rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_give_what_they_show(module):
    tried = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert tried.attempted > 0
    assert tried.failed == 0


def test_there_are_examples_to_run():
    assert MODULES
    assert any(PAGES.values())


@pytest.mark.parametrize("page", [name for name, blocks in PAGES.items() if blocks])
def test_the_python_blocks_of_a_page_run(page, programme, tmp_path):
    """One after the other, in a folder with the files that pages speak of."""
    for name in ("song.flac", "night.mp3"):
        subprocess.run(["ffmpeg", "-v", "error", "-i", programme, tmp_path / name], check=True, timeout=60)
    program = "\n".join(PAGES[page])
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# --- links, paths, commands

CARDS = ROOT / "streamseg" / "engine" / "models"
TEXTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted(CARDS.glob("*.md"))]
COMMANDS = typer.main.get_command(app).commands


def streamseg_lines() -> list[tuple[str, str]]:
    """Page and text of each line of a code block that runs `streamseg`."""
    lines = set()
    for page in TEXTS:
        blocks = re.findall(r"^```sh\n(.*?)^```|((?:^    \S.*\n)+)", page.read_text(), re.DOTALL | re.MULTILINE)
        texts = [line.partition("  #")[0].strip() for line in "".join(map("".join, blocks)).splitlines()]
        lines |= {(page.name, text) for text in texts if text.startswith("streamseg ")}
    return sorted(lines)


def tool_calls() -> list[tuple[str, str, str]]:
    """Page, module and arguments of each `python -m tools.…`, in code blocks and in text."""
    calls = set()
    for page in TEXTS:
        text = page.read_text().replace("\\\n", " ")
        calls |= {(page.name, *call) for call in re.findall(r"python -m (tools\.[\w.]*\w)([^`\n#]*)", text)}
    return sorted(calls)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_links_and_paths_exist(page: Path):
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (page.parent / target).exists(), target
    if page.name == "CHANGELOG.md":
        return  # it names what was there before
    for path in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|md|npz))`", text):
        assert any((place / path).exists() for place in (ROOT, ROOT / "streamseg", page.parent)), path


@pytest.mark.parametrize(("page", "line"), streamseg_lines())
def test_every_streamseg_line_is_understood(page: str, line: str):
    name, *arguments = shlex.split(line.replace("…", "x"))[1:]
    COMMANDS[name].make_context(name, arguments)


@pytest.mark.parametrize(("page", "module", "arguments"), tool_calls())
def test_every_tool_is_there_and_knows_its_options(page: str, module: str, arguments: str):
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    sources = "".join(path.read_text() for path in Path(spec.origin).parent.glob("*.py"))  # options may be beside it
    for option in re.findall(r"--([a-z][a-z-]*)", arguments):
        assert re.search(rf"\b{option}\b", sources), f"{module} has no --{option}"
