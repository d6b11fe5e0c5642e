"""Every format, read back by a program or library that is not ours, at our boundaries."""

import csv
import io
import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import jams
import mir_eval
import numpy as np
import pytest
import soundfile

from streamseg.errors import OutputError, TruncatedSourceError, UsageError
from streamseg.outputs import FORMATS, collect_recording, jsonl
from streamseg.wire.envelope import Envelope, EventSequencer
from streamseg.wire.events import Event, LabelNamed, Report, SectionClosed, SectionRelabelled, StreamStarted

BOUNDARIES = (0.0, 12.345, 31.006, 47.5, 60.0)
LABELS = ("A", "B", "A", "C")
CUE_RESOLUTION_S = 0.5 / 75 + 1e-6


def run(audio: str = "night/my mix.flac", epoch: str = "01EPOCH", labels=LABELS) -> list[Envelope]:
    """What a run over `audio` says, as far as the formats care."""
    events = [
        Event(
            "stream",
            StreamStarted(
                sample_rate=44100, channels=2, source=audio, profile="music", settings={}, latency_s=0.1, hashes={}
            ),
        )
    ]
    for n, (start, end, label) in enumerate(zip(BOUNDARIES, BOUNDARIES[1:], labels, strict=False), 1):
        closed = SectionClosed(
            section_id=f"s-{n}",
            start=start,
            end=end,
            ended_by="boundary",
            label=label,
            name=None,
            label_confidence=0.8,
            report=Report(duration_s=end - start, tempo_bpm=120.0, chroma=(0.25,) * 12),
        )
        events.append(Event(f"s-{n}", closed))
    return EventSequencer("mix", epoch, lambda: 0.0).stamp_events(events)


def written(name: str, envelopes: list[Envelope]) -> str:
    return "".join(FORMATS[name].render(envelopes))


def test_json_lines_come_back_as_the_same_events_one_at_a_time():
    envelopes = run()
    lines = FORMATS["jsonl"].render(iter(envelopes))
    first = next(lines)
    assert json.loads(first)["type"] == "streamseg.stream.started.v1"
    assert list(jsonl.parse_lines([first, "\n", *lines], name="x")) == envelopes


def test_a_line_that_is_no_event_is_named():
    with pytest.raises(OutputError, match=r"take\.jsonl, line 2 is not an event"):
        list(jsonl.parse_lines(["".join(FORMATS["jsonl"].render(run()[:1])), '{"a": 1}'], name="take.jsonl"))


@pytest.mark.parametrize("zeros", [b"", bytes(100)])
def test_a_last_line_cut_anywhere_ends_the_events_before_it(zeros):
    first, last = (line.encode() for line in FORMATS["jsonl"].render(run()[:2]))
    for size in range(1, len(last) - 1):
        events = jsonl.parse_lines([first, last[:size] + zeros], name="take.jsonl")
        assert next(events) == run()[0]
        with pytest.raises(TruncatedSourceError, match=r"take\.jsonl is cut off: line 2, its last, is half written"):
            next(events)
    for damaged in (last[:50] + b"\n", last[:50] + b"\xff\0{", b"\0" * 5 + b"\n", last[:1] + b" " * 2**22):
        with pytest.raises(OutputError, match="line 2 is not an event"):
            list(jsonl.parse_lines([first, damaged, last], name="take.jsonl"))
    with pytest.raises(OutputError, match="line 1 is not an event"):
        list(jsonl.parse_lines([first[:50]], name="take.jsonl"))


def test_what_was_learned_later_reaches_back():
    later = [
        Event("s-3", SectionRelabelled(section_id="s-3", label="B", previous="A")),
        Event("A", LabelNamed(label="A", name="Chorus", by="x")),
    ]
    envelopes = run() + EventSequencer("mix", "01EPOCH", lambda: 0.0).stamp_events(later)
    assert [section.title for section in collect_recording(envelopes).sections] == ["Chorus 1", "B 1", "B 2", "C 1"]


def test_two_runs_are_not_mixed():
    with pytest.raises(UsageError, match="--epoch"):
        collect_recording(run() + run(epoch="01OTHER"))


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"jsonl"}))
def test_no_section_is_said_not_written_empty(name):
    with pytest.raises(OutputError, match="no section"):
        written(name, run()[:1])


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_formats_hold_under_hostile_names(name):
    assert written(name, run(audio='a "b"\t<&>.wav', labels=('x "y"', "<a>&\n\tb", "–é", "")))


def test_cue_is_read_by_cuetools_and_by_ffmpeg(tmp_path: Path):
    sheet = tmp_path / "mix.cue"
    sheet.write_text(written("cue", run()))
    points = subprocess.run(
        ["cuebreakpoints", sheet], capture_output=True, text=True, check=True, timeout=20
    ).stdout.split()
    fields = [re.split("[:.]", point) for point in points]  # minutes:seconds.frames
    read = [int(minutes) * 60 + int(seconds) + int(frames) / 75 for minutes, seconds, frames in fields]
    assert read == pytest.approx(BOUNDARIES[1:-1], abs=CUE_RESOLUTION_S)

    # ffmpeg reads a sheet where FLAC keeps it: metaflac puts it there, ffprobe makes chapters of it.
    sound = tmp_path / "mix.flac"
    soundfile.write(sound, np.zeros(60 * 44100, np.int16), 44100)
    subprocess.run(["metaflac", f"--import-cuesheet-from={sheet}", sound], check=True, timeout=20)
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_chapters", "-of", "json", sound],
        capture_output=True,
        check=True,
        timeout=20,
    ).stdout
    starts = [float(chapter["start_time"]) for chapter in json.loads(probed)["chapters"]]
    assert starts[: len(LABELS)] == pytest.approx(BOUNDARIES[:-1], abs=CUE_RESOLUTION_S)


@pytest.mark.parametrize(
    ("audio", "kind"), [("a.mp3", "MP3"), ("a.AIFF", "AIFF"), ("a.wav", "WAVE"), ("a.ogg", "WAVE")]
)
def test_cue_names_the_file_and_its_type(audio, kind):
    assert f'FILE "{audio}" {kind}' in written("cue", run(audio=f"/some/where/{audio}")).splitlines()


def test_cue_has_no_quote_inside_quotes_and_minutes_past_99():
    text = written("cue", run(audio='the "best" of.wav'))
    assert "FILE \"the 'best' of.wav\" WAVE" in text
    late = [
        Event("s", SectionClosed(**{**closed_fields(), "start": start, "end": start + 60}))
        for start in (0.0, 6000.9999)  # rounds up over a frame, a second and a minute
    ]
    assert "INDEX 01 100:01:00" in written("cue", EventSequencer("x", "e", lambda: 0.0).stamp_events([late[1]]))


def closed_fields():
    fact = run()[1].data
    return {field: getattr(fact, field) for field in fact.__struct_fields__}


def test_lab_is_read_by_mir_eval(tmp_path: Path):
    (tmp_path / "x.lab").write_text(written("lab", run(labels=("verse one", "B", "A", "C"))))
    intervals, labels = mir_eval.io.load_labeled_intervals(str(tmp_path / "x.lab"))
    assert intervals.ravel()[::2] == pytest.approx(BOUNDARIES[:-1], abs=1e-6)
    assert labels == ["verse_one", "B", "A", "C"]


def test_audacity_labels_are_three_tabbed_columns():
    rows = [line.split("\t") for line in written("audacity", run()).splitlines()]
    assert [(float(start), float(end), label) for start, end, label in rows] == [
        (0.0, 12.345, "A 1"),
        (12.345, 31.006, "B 1"),
        (31.006, 47.5, "A 2"),
        (47.5, 60.0, "C 1"),
    ]


def test_csv_has_the_report_and_leaves_the_unmeasured_empty():
    rows = list(csv.DictReader(io.StringIO(written("csv", run()))))
    assert [float(row["start"]) for row in rows] == list(BOUNDARIES[:-1])
    assert rows[0]["tempo_bpm"] == "120.0"
    assert rows[0]["integrated_lufs"] == ""
    assert len(rows[0]["chroma"].split()) == 12


@pytest.mark.filterwarnings("ignore:Passing a schema to Validator:DeprecationWarning")  # inside jams
def test_jams_is_valid_for_its_own_library():
    document = jams.load(io.StringIO(written("jams", run())))
    assert document.validate(strict=True)
    assert [row.time for row in document.search(namespace="segment_open")[0]] == pytest.approx(BOUNDARIES[:-1])


def test_rttm_columns():
    rows = [line.split() for line in written("rttm", run()).splitlines()]
    assert {len(row) for row in rows} == {10}
    assert [float(row[3]) for row in rows] == pytest.approx(BOUNDARIES[:-1], abs=1e-3)
    assert sum(float(row[4]) for row in rows) == pytest.approx(60, abs=1e-2)
    assert rows[0][1] == "my_mix"


@pytest.mark.parametrize("name", ["srt", "webvtt"])
def test_subtitles_are_read_by_ffmpeg(name, tmp_path: Path):
    path = tmp_path / f"x{FORMATS[name].suffix}"
    path.write_text(written(name, run()))
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_packets", "-of", "json", path], capture_output=True, check=True, timeout=20
    ).stdout
    packets = json.loads(probed)["packets"]
    assert [float(packet["pts_time"]) for packet in packets] == pytest.approx(BOUNDARIES[:-1], abs=1e-3)


def test_podcast_chapters():
    document = json.loads(written("podcast-chapters", run()))
    assert document["version"] == "1.2.0"
    assert [chapter["startTime"] for chapter in document["chapters"]] == list(BOUNDARIES[:-1])


def test_rekordbox_marks():
    track = ElementTree.fromstring(written("rekordbox", run(audio="/music/a b.flac"))).find("COLLECTION/TRACK")
    assert track is not None
    assert track.get("Location") == "file://localhost/music/a%20b.flac"
    assert [float(mark.get("Start", "")) for mark in track] == list(BOUNDARIES[:-1])
