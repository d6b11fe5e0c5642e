"""Events, marks and settings as they must not be: refused with the file, the line and what can be done."""

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from streamseg.blocks import Block, Gap
from streamseg.errors import SettingRangeError, SourceError
from streamseg.settings import ServerSettings, check_setting_ranges, make_settings
from streamseg.sources import AudioFileSource
from tools.hostile.command_lines import make_folder

RATE = 8_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("damaged")
    make_folder(place)
    shutil.copy(place / "s1.wav", place / "other.wav")
    soundfile.write(place / "longer.wav", 0.1 * np.random.default_rng(1).standard_normal(3 * RATE), RATE)
    return place


def changed(folder: Path, name: str, **changes) -> Path:
    """The events of s1.wav with some data of each type changed."""
    lines = []
    for line in (folder / "s1.jsonl").read_text().splitlines():
        event = json.loads(line)
        event["data"].update(changes.get(event["type"].split(".")[2], {}))
        lines.append(json.dumps(event))
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (("export", "s3.ogg", "-f", "lab"), 1, "s3.ogg, line 1 is not an event of streamseg"),
        (("export", "zero.bin", "-f", "lab"), 1, "zero.bin, line 1 is not an event"),
        (("export", "broken.jsonl", "-f", "jsonl", "-o", "w.jsonl"), 1, "broken.jsonl, line"),
        (("export", "empty", "-f", "lab"), 1, "empty holds no events"),
        (("export", "/dev/zero", "-f", "lab"), 1, "/dev/zero, line 1 is not an event"),
        (("export", "sub", "-f", "lab"), 2, "'sub' is a folder; name a file of events in it"),
        (
            ("export", "s1.jsonl", "-f", "lab", "--epoch", "xyz", "-o", "w"),
            2,
            "no epoch 'xyz' in s1.jsonl; there are: ",
        ),
        (("export", "s1.jsonl", "-f", "jsonl", "--epoch", "xyz", "-o", "w"), 2, "no epoch 'xyz' in s1.jsonl; there a"),
        (("split", "notes.txt", "-o", "w"), 1, "notes.txt holds no sound"),
        (("analyze", "notes.txt", "-f", "cue"), 1, "notes.txt holds no sound"),
        (("split", "s1.wav", "--events", "notes.txt", "-o", "w"), 1, "notes.txt, line 1 is not an event"),
        (("split", "s1.wav", "--events", "empty", "-o", "w"), 1, "empty holds no events"),
        (("split", "s1.wav", "--events", "s2.jsonl", "-o", "w"), 2, "they are of 's2.flac'; analyze it"),
        (("split", "other.wav", "--events", "s1.jsonl", "-o", "w"), 2, "they are of 's1.wav'"),
        (("analyze", "s1.wav", "--set", "lookahead_s=61"), 2, "lookahead_s cannot be 61: it is a number from 0 to 60"),
        (("analyze", "s1.wav", "--set", "lookahead_s=soon"), 2, "lookahead_s cannot be 'soon'"),
        (("analyze", "s1.wav", "--set", "lookahead_s=NaN"), 2, "lookahead_s cannot be nan"),
        (("serve", "s1.wav", "--set", "heartbeat_s=0"), 2, "heartbeat_s cannot be 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_it_says_what_is_wrong(commands, folder: Path, line, code, said):
    done = commands.run(*line, cwd=folder)
    assert done.returncode == code, done
    assert said in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("w*"))


def test_events_that_are_cut_off_are_exported_up_to_the_cut(commands, folder: Path):
    lines = (folder / "s1.jsonl").read_bytes().splitlines(keepends=True)
    closed = next(i for i, line in enumerate(lines) if b"section.closed" in line)
    (folder / "half.jsonl").write_bytes(b"".join(lines[: closed + 1]) + lines[closed + 1][:-20])
    (folder / "before.jsonl").write_bytes(b"".join(lines[: closed + 1]))
    for format_ in ("lab", "jsonl"):
        done = commands.run("export", "half.jsonl", "-f", format_, "-o", "half." + format_ + ".out", cwd=folder)
        assert done.returncode == 1, done
        assert f"half.jsonl is cut off: line {closed + 2}, its last, is half written" in done.stderr
        before = commands.run("export", "before.jsonl", "-f", format_, cwd=folder)
        assert before.returncode == 0, before
        assert (folder / f"half.{format_}.out").read_text() == before.stdout
    (folder / "half.jsonl").write_bytes(lines[0] + lines[1][:-20])
    for more, code, said in (
        ((), 1, "no section was closed in these events, so there is nothing to write; half.jsonl is cut off: line 2"),
        (("--epoch", "xyz"), 2, f"there are: {json.loads(lines[0])['epoch']}; half.jsonl is cut off: line 2"),
    ):
        done = commands.run("export", "half.jsonl", "-f", "lab", "-o", "w", *more, cwd=folder)
        assert done.returncode == code, done
        assert said in done.stderr
        assert not (folder / "w").exists()


def test_events_of_another_recording_only_with_force(commands, folder: Path):
    """Another name, length, rate; or sections that cannot be. Another encoding of the sound is the same recording."""
    for events, said in (
        (changed(folder, "name.jsonl", started={"source": "/elsewhere/night.mp3"}), "they are of 'night.mp3'"),
        (changed(folder, "length.jsonl", stopped={"t": 3.0}), "they go to 3.00 s"),
        (changed(folder, "cut.jsonl", stopped={"t": 0.5}), "they go to 0.50 s"),
        (changed(folder, "rate.jsonl", started={"sample_rate": 44_100}), "they are of 44100 Hz"),
        (changed(folder, "past.jsonl", closed={"end": 9.0}), "ends at 9.00 s"),
    ):
        line = ("split", "s1.wav", "--events", events.name, "-o", "parts-" + events.stem)
        done = commands.run(*line, cwd=folder)
        assert done.returncode == 2, done
        assert said in done.stderr
        assert not (folder / line[-1]).exists()
        assert commands.run(*line, "--force", cwd=folder).returncode == 0
    for events in (
        changed(folder, "same.jsonl", started={"source": "/elsewhere/S1.flac"}),
        changed(folder, "mic.jsonl", started={"source": "mic:USB"}),
        changed(folder, "stopped.jsonl", stopped={"t": 1.2, "reason": "stopped"}),
    ):
        done = commands.run("split", "s1.wav", "--events", events.name, "-o", "parts-" + events.stem, cwd=folder)
        assert done.returncode == 0, done


@pytest.mark.parametrize("times", [{"start": -1.0}, {"start": 1.4, "end": 1.0}, {"end": 1e300}])
def test_sections_that_cannot_be(commands, folder: Path, times):
    events = changed(folder, "impossible.jsonl", closed=times)
    for line in (
        ("export", events.name, "-f", "cue"),
        ("split", "s1.wav", "--force", "--events", events.name, "-o", "w"),
    ):
        done = commands.run(*line, cwd=folder)
        assert done.returncode == 1, done
        assert "these events are damaged" in done.stderr
    assert not (folder / "w").exists()


GAP = {"sample": 10, "kind": "gap", "fields": {"missing_samples": 5, "cause": "overflow"}}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\xff\xfe garbage", "line 2"),
        (b"{}", "missing required field `sample`"),
        (json.dumps({**GAP, "sample": -1}).encode(), "sample -1"),
        (json.dumps({**GAP, "sample": 5}).encode(), "sample 5, after sample 10"),
        (json.dumps({**GAP, "sample": 10**30}).encode(), "line 2"),
        (json.dumps({**GAP, "kind": "hole"}).encode(), "kind 'hole'; known are gap, away, title"),
        (json.dumps({**GAP, "fields": {"missing_samples": -5, "cause": "overflow"}}).encode(), "gap of -5 samples"),
        (json.dumps({**GAP, "fields": {"missing_samples": 10**18, "cause": "overflow"}}).encode(), "a gap of 10"),
        (json.dumps({**GAP, "fields": {"missing_samples": 5, "cause": "fate"}}).encode(), "fate"),
        (json.dumps({"sample": 10, "kind": "away", "fields": {"reason": "x", "away_s": -1.0}}).encode(), "away for -1"),
        (b'{"sample":10,"kind":"title","fields":{"title":5}}', "line 2"),
        (b"[" * 100_000, "line 2"),
        (bytes(3_000_000), "line 2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_marks_that_cannot_be_name_their_file_and_line(tmp_path: Path, line, said):
    path = tmp_path / "take.wav"
    soundfile.write(path, np.zeros(1000, np.float32), RATE)
    (tmp_path / "take.wav.marks.jsonl").write_bytes(json.dumps(GAP).encode() + b"\n" + line + b"\n")
    with pytest.raises(SourceError, match=r"take\.wav\.marks\.jsonl, line 2") as failure:
        next(iter(AudioFileSource(path)))
    assert said in str(failure.value)
    assert len(str(failure.value)) < 500


def test_the_longest_gap_is_a_year_and_costs_nothing(commands, tmp_path: Path):
    path = tmp_path / "take.wav"
    soundfile.write(path, np.zeros(1000, np.float32), RATE)
    year = {**GAP, "fields": {"missing_samples": 366 * 86_400 * RATE, "cause": "stalled"}}
    (tmp_path / "take.wav.marks.jsonl").write_text(json.dumps(year) + "\n")
    assert sum(isinstance(item, Block | Gap) for item in AudioFileSource(path)) == 3
    for line in (("analyze", "take.wav"), ("features", "take.wav", "-o", "w.csv")):
        done = commands.run(*line, cwd=tmp_path)
        assert done.returncode == 0, done


def test_marks_that_are_a_folder(tmp_path: Path):
    path = tmp_path / "take.wav"
    soundfile.write(path, np.zeros(1000, np.float32), RATE)
    (tmp_path / "take.wav.marks.jsonl").mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        list(AudioFileSource(path))


def test_every_setting_says_its_range():
    for kind in (ServerSettings,):
        for name in kind.__struct_fields__:
            with pytest.raises(SettingRangeError, match=rf"^{name} cannot be 'x': it is (a (whole )?number|true)"):
                check_setting_ranges(kind, {name: "x"})
    with pytest.raises(SettingRangeError, match="above 0 and below 1"):
        make_settings(provisional_probability=1)
    assert msgspec.convert({}, ServerSettings) == ServerSettings()
