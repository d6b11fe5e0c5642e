"""What the README shows works as it stands there."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from streamseg.cli.app import app
from streamseg.outputs import FORMATS
from streamseg.settings import PROFILES
from streamseg.sources.demo_programme import list_demo_scenes
from tools.command import run, start

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = {name: each for name, each in typer.main.get_command(app).commands.items() if not each.hidden}
ENDLESS = ("demo", "listen", "serve", "watch")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def shell_lines() -> list[str]:
    return [line.partition("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]


def streamseg_lines() -> list[str]:
    return [line for line in shell_lines() if line.startswith("streamseg ")]


def lines_in_help() -> list[str]:
    return [
        re.sub(r" +\(with .*| > .*", "", line[line.index("streamseg ") :])
        for each in COMMANDS.values()
        for line in each.epilog.splitlines()
        if "streamseg " in line
    ]


@pytest.fixture(scope="module")
def folder(programme, tmp_path_factory) -> Path:
    """A folder with the files that the README speaks of."""
    place = tmp_path_factory.mktemp("readme")
    for name in ("song.flac", "night.mp3", "show.ogg"):
        subprocess.run(["ffmpeg", "-v", "error", "-i", programme, place / name], check=True, timeout=60)
    (place / "annotated").mkdir()
    shutil.copy(place / "song.flac", place / "annotated" / "song.flac")
    truth = "".join(f"{scene.start_s}\t{scene.end_s}\t{scene.name}\n" for scene in list_demo_scenes())
    (place / "annotated" / "song.sections.tsv").write_text(truth)
    return place


def test_the_python_example_runs(folder: Path):
    example, _ = blocks("python")
    assert len(example.splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    assert re.search(r"at 1[34]\.\d\d s a change, known \d+\.\d s later", done.stdout)
    assert re.search(r"\w: 6[12]\.\d\d to 78\.00 s", done.stdout)


def test_the_server_example_runs(folder: Path):
    _, example = blocks("python")
    played = example.replace('open_source("mic")', 'open_source("show.ogg", live=True, fast=True)')
    played = played.replace("port=8765", "port=0").replace("hub.publish", "print(events) or hub.publish")
    assert played.count("fast=True") == played.count("port=0") == played.count("print(events)") == 1
    done = subprocess.run(
        [sys.executable, "-c", played], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    assert "StreamStopped(t=78.0, reason='end'" in done.stdout


def test_the_commands_run(folder: Path, tmp_path: Path):
    """In their order, since some need what others write."""
    for line in streamseg_lines():
        arguments = shlex.split(line)[1:]
        if arguments[0] not in ENDLESS:
            done = run(*arguments, cwd=folder)
            assert done.returncode == 0, f"{line}: {done.stderr}"
    assert (folder / "night.cue").stat().st_size
    assert (folder / "chapters.json").stat().st_size
    assert list((folder / "tracks").iterdir())


def test_serving_and_watching_run(folder: Path, tmp_path: Path):
    serve = next(line for line in streamseg_lines() if "serve studio=" in line)
    watch = next(line for line in streamseg_lines() if line.startswith("streamseg watch"))
    history = tmp_path / "history"
    with start(*shlex.split(serve)[1:], "--port", "0", "--history", history, cwd=folder) as serving:
        address = serving.wait_for_address()
        with start(*shlex.split(watch)[1:2], address, *shlex.split(watch)[3:], "--subscribe", "meter") as watching:
            assert '"streamseg.meter.v1"' in watching.process.stdout.readline()
            assert watching.stop()[0] == 0
        assert serving.stop(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("line", sorted({*streamseg_lines(), *lines_in_help()}))
def test_every_line_shown_is_understood(line: str):
    """Also those that need a sound card or a browser to run."""
    name, *arguments = shlex.split(line)[1:]
    COMMANDS[name].make_context(name, arguments)


def test_every_command_named_is_there():
    assert set(re.findall(r"`streamseg ([a-z]+)", README)) == COMMANDS.keys()


def test_every_format_and_profile_is_named():
    for name in [*FORMATS, *PROFILES]:
        assert f"`{name}`" in README, name
