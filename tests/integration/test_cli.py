"""Every command, as its user starts it."""

import json
import re
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer

from streamseg.cli.app import app
from streamseg.cli.summary import EventSummary
from streamseg.engine import segment
from streamseg.engine.models.loader import load_boundary_model
from streamseg.outputs import FORMATS
from streamseg.settings import PROFILES, Settings, make_settings
from streamseg.sources import list_devices
from streamseg.sources.demo_programme import SAMPLE_RATE, list_demo_scenes
from streamseg.wire.envelope import decode_envelope
from streamseg.wire.events import BoundaryConfirmed, SectionClosed
from tools.command import command, run, start

COMMANDS = ("demo", "listen", "serve", "analyze", "watch", "export", "split", "devices", "evaluate", "features", "tune")
EXTRAS = {"evaluate": "[evaluation]", "features": "[parquet]", "tune": "[evaluation]"}


@pytest.fixture(scope="session")
def analysed(programme: Path) -> list[str]:
    """What `analyze` prints of it, line by line."""
    done = run("analyze", programme, "--profile", "broadcast")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_command_has_help_examples_and_a_word_on_each_parameter():
    commands = typer.main.get_command(app).commands
    assert set(COMMANDS) <= commands.keys()
    for name, each in commands.items():
        assert each.help, name
        if each.hidden:  # an old name
            continue
        assert f"streamseg {name}" in each.epilog or name == "devices"
        for parameter in each.params:
            assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_shown(name):
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"streamseg {name}" in done.stdout
    assert EXTRAS.get(name, "") in done.stdout


def test_help_loads_nothing_heavy():
    script = """
import sys
sys.argv = ["streamseg", "--help"]
from streamseg.cli import main
try:
    main()
except SystemExit:
    print(sorted({"numpy", "numba", "av", "river", "websockets", "sounddevice"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_setting_is_shown():
    done = run("--settings")
    assert done.returncode == 0
    for name in [*Settings.__struct_fields__, *PROFILES]:
        assert name == "profile" or name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("analyze", "x.wav", "--set", "lookahead=1"), "did you mean 'lookahead_s'"),
        (("analyze", "x.wav", "--set", "lookahead_s=-1"), "lookahead_s"),
        (("analyze", "x.wav", "--set", "lookahead_s"), "--set lookahead_s=VALUE"),
        (("analyze", "x.wav", "--set", "clusterer=best"), "best"),
        (("analyze", "x.wav", "--lookahead", "61"), "equal to 60"),
        (("analyze", "x.wav", "--sensitivity", "1.1"), "less than or equal to 1"),
        (("analyze", "x.wav", "--set", "sensitivity=-0.1"), "sensitivity cannot be -0.1: it is a number from 0 to 1"),
        (("analyze", "-", "--model", "mine.npz"), "no model 'mine.npz'"),
        (("analyze", "x.wav", "--profile", "opera"), "opera"),
        (("analyze", "x.wav", "--format", "midi"), "podcast-chapters"),
        (("analyse", "x.wav"), "analyse"),
        (("export", "missing.jsonl", "--format", "cue"), "no file 'missing.jsonl'"),
        (("serve",), "SOURCE"),
    ],
)
def test_asked_wrongly_is_answered_with_2(commands, arguments, message, tmp_path: Path):
    done = commands.run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_analyze_says_the_same_as_the_engine(programme: Path, analysed):
    samples, rate = soundfile.read(programme, dtype="float32")
    expected = list(segment([samples], make_settings("broadcast"), sample_rate=rate))
    envelopes = [decode_envelope(line) for line in analysed]
    assert [envelope.event for envelope in envelopes][1:] == expected[1:]  # the first names its source
    assert [envelope.offset for envelope in envelopes] == list(range(1, len(envelopes) + 1))
    assert {envelope.source for envelope in envelopes} == {"/streams/programme"}


def test_a_model_file_is_used_and_named(programme: Path, tmp_path: Path):
    shipped = load_boundary_model("broadcast")
    mine = replace(shipped, policies=np.array([[0.0, 2.0, 0.0, 3.0]]))  # never sure
    mine.save(tmp_path / "mine.npz")
    done = run("analyze", programme, "-p", "broadcast", "--lookahead", "3", "--model", tmp_path / "mine.npz")
    assert done.returncode == 0, done.stderr
    said = [decode_envelope(line).data for line in done.stdout.splitlines()]
    assert (said[0].latency_s, said[0].hashes["model"]) == (3.0, mine.hash)
    assert mine.hash != shipped.hash
    assert not [fact for fact in said if isinstance(fact, BoundaryConfirmed) and not fact.at_end]


def test_a_model_that_is_none(programme: Path):
    done = run("analyze", programme, "--model", programme)
    assert done.returncode == 2
    assert "streamseg tune" in done.stderr


def test_analyze_finds_the_scenes(analysed):
    events = [decode_envelope(line).data for line in analysed]
    true = [scene.start_s for scene in list_demo_scenes()[1:]]
    assert [fact.t for fact in events if isinstance(fact, BoundaryConfirmed)] == pytest.approx(true, abs=0.5)
    labels = [fact.label for fact in events if isinstance(fact, SectionClosed)]
    assert labels[-1] == labels[1]  # the slow piece, again
    assert len(set(labels)) == len(labels) - 1


def test_the_first_frame_comes_soon(programme: Path, analysed, tmp_path: Path):
    """Under 4 s from the start of the process, all caches warm; counted in its own CPU time, whoever else is busy."""
    second = tmp_path / "second.wav"
    soundfile.write(second, soundfile.read(programme, frames=SAMPLE_RATE)[0], SAMPLE_RATE)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run("analyze", second).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4


def test_analyze_reads_raw_pcm_from_standard_input(programme: Path, analysed):
    samples = soundfile.read(programme, dtype="float32", always_2d=True)[0][: 20 * SAMPLE_RATE]
    pcm = (samples.repeat(2, axis=1) * 32767).astype("<i2").tobytes()
    done = subprocess.run(command("analyze", "-"), input=pcm, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["type"] == "streamseg.stream.stopped.v1"
    assert last["data"]["t"] == 20.0


@pytest.mark.parametrize("name", ["cue", "csv"])
def test_analyze_and_export_write_the_same(programme: Path, analysed, tmp_path: Path, name):
    done = run("analyze", programme, "--profile", "broadcast", "--format", name, "-o", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (tmp_path / "events.jsonl").write_text("\n".join(analysed))
    done = run("export", tmp_path / "events.jsonl", "--format", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "a").read_text()


def test_export_names_the_file_it_is_told(analysed, tmp_path: Path):
    done = run("export", "-", "--format", "cue", "--audio", "show.mp3", input="\n".join(analysed))
    assert 'FILE "show.mp3" MP3' in done.stdout


def test_rekordbox_has_the_path_that_events_do_not_have(programme: Path, tmp_path: Path):
    music, here = tmp_path / "music", tmp_path / "here"
    for folder in (music, here):
        folder.mkdir()
    second = music / "second.wav"
    soundfile.write(second, soundfile.read(programme, frames=SAMPLE_RATE)[0], SAMPLE_RATE)
    location = f'Location="file://localhost{second}"'
    assert location in run("analyze", "../music/second.wav", "-f", "rekordbox", cwd=here).stdout.replace("here/../", "")
    events = run("analyze", second).stdout
    assert decode_envelope(events.splitlines()[0]).data.source == "second.wav"
    assert str(tmp_path) not in events
    lost = run("export", "-", "-f", "rekordbox", cwd=here, input=events)
    assert (lost.returncode, "--audio" in lost.stderr) == (2, True)
    assert location in run("export", "-", "-f", "rekordbox", "--audio", second, cwd=here, input=events).stdout
    (music / "second.jsonl").write_text(events)
    assert location in run("export", music / "second.jsonl", "-f", "rekordbox", cwd=here).stdout


def test_export_asks_which_run(analysed, tmp_path: Path):
    events = tmp_path / "two.jsonl"
    other = [json.dumps({**json.loads(line), "epoch": "01OTHER"}) for line in analysed]
    events.write_text("\n".join([*analysed, *other]))
    done = run("export", events, "--format", "lab")
    assert done.returncode == 2
    assert "--epoch" in done.stderr
    assert run("export", events, "--format", "lab", "--epoch", "01OTHER").returncode == 0


def test_formats_and_help_agree():
    shown = run("export", "--help", env={"COLUMNS": "200"}).stdout
    assert all(name in shown for name in FORMATS)


def test_split_gives_a_file_per_section(programme: Path, analysed, tmp_path: Path):
    events = tmp_path / "events.jsonl"
    events.write_text("\n".join(analysed))
    again = run("split", programme, "--profile", "broadcast", "-o", tmp_path / "again")
    kept = run("split", programme, "--events", events, "-o", tmp_path / "kept", "--format", "ogg")
    assert again.returncode == kept.returncode == 0, again.stderr + kept.stderr
    sections = sum("section.closed" in line for line in analysed)
    assert len(list((tmp_path / "kept").iterdir())) == sections
    lengths = [soundfile.info(path).duration for path in (tmp_path / "again").iterdir()]
    assert len(lengths) == sections
    assert sum(lengths) == pytest.approx(list_demo_scenes()[-1].end_s, abs=0.05)


def test_demo_fast_finds_its_own_scenes():
    done = run("demo", "--fast", "--port", "0")
    assert done.returncode == 0, done.stderr
    assert re.search(r"found 5 of 5 changes, 0 where there was none; 1:18\.0 processed", done.stdout)
    assert re.search(r"page: http://127\.0\.0\.1:\d+/", done.stderr)


def test_demo_runs_in_real_time_and_ends_with_ctrl_c():
    with start("demo", "--port", "0") as demo:
        demo.wait_for_address()
        began = time.monotonic()
        time.sleep(4)
        asked_s = time.monotonic() - began
        code, out, _ = demo.stop()
    assert code == 0
    heard_s = float(re.search(r"0:(\d+\.\d) processed", out).group(1))
    assert heard_s == pytest.approx(asked_s, abs=2.5)
    assert "found 0 of 0 changes" in out


def test_devices_lists_each_input_or_says_that_there_is_none():
    names = [device.name for device in list_devices()]
    done = run("devices")
    assert done.returncode == 0
    assert all(name in done.stdout for name in names)
    assert ("no input device on this machine" in done.stderr) == (not names)
    assert "Traceback" not in done.stderr


def test_devices_without_portaudio_says_how_to_install_it():
    program = (
        "import ctypes.util, sys; ctypes.util.find_library = lambda name: None; sys.argv = ['streamseg', 'devices']"
    )
    program += "\nfrom streamseg.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "apt-get install libportaudio2" in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_failure_shows_where_only_when_asked(tmp_path: Path):
    assert "Traceback" not in run("analyze", "missing.wav").stderr
    assert "Traceback" in run("--debug", "analyze", "missing.wav").stderr


def test_a_count_of_one_has_a_singular_noun():
    summary = EventSummary()
    assert str(summary) == "0:00.0 processed, 0 changes, 0 sections"
    summary.boundaries = 1
    assert str(summary) == "0:00.0 processed, 1 change, 0 sections"
