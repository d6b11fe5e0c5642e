"""Any text as label, name, section or source: each format reads back as the same sections at the same times."""

import csv
import io
import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from integration.test_printable import UNPRINTABLE
from unit.test_outputs import BOUNDARIES, run, written

from streamseg.outputs import FORMATS, collect_recording, jsonl
from streamseg.outputs.split import _make_file_name
from streamseg.wire.events import SectionClosed

STARTS, ENDS = BOUNDARIES[:-1], BOUNDARIES[1:]
PIECES = (
    *("\n", "\r\n", "\n\n", "\t", " ", "-->", "00:00:01,000 --> 00:00:02,000", "\n7\n00:00:03.000 --> 00:00:04.000\n"),
    *('"', "'", "<", "&", "]]>", "\\", "/", ",", ";", "=1+1", "+", "-", "@", "＝1", "%", "#", "NOTE", "STYLE", "<NA>"),
    *("CON", "..", ".", "🎵", "é", "A", "B 1", *UNPRINTABLE),
)
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(st.characters(), max_size=3)), max_size=8).map("".join)
HOSTILE = "=A\n\n9\n00:00:01,000 ----> 00:00:02,000\nx\x00\x1b\x85\u2028\ud800\t"
anything = st.tuples(TEXT, *[st.tuples(TEXT, TEXT, st.none() | TEXT)] * len(STARTS))


def hostile_run(texts, *, encodable=False):
    """A run over a source of that name whose sections have these ids, labels and names."""
    if encodable:  # JSON holds no lone surrogates, so no event that was kept has any
        texts = msgspec.json.decode(json.dumps(texts).replace("\\ud", "\\u2d"))
    audio, *sections = texts
    envelopes = run(audio=audio, labels=[label for _, label, _ in sections])
    for place, (section_id, _, name) in enumerate(sections, 1):
        closed = envelopes[place]
        # ids are told apart, or the later section is the earlier one said again
        data = msgspec.structs.replace(closed.data, section_id=f"{section_id}{place}", name=name)
        assert isinstance(data, SectionClosed)
        envelopes[place] = msgspec.structs.replace(closed, data=data)
    return envelopes


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def subtitle_cues(text: str):
    """Start and end of every line that a lenient reader would take for the times of a cue."""
    found = [line.split("-->") for line in text.splitlines() if "-->" in line]
    return [(seconds(start.strip()), seconds(end.strip())) for start, end in found]


def read_csv(text):
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for row in rows:
        for column in ("section_id", "label", "name"):
            assert not row[column].startswith(tuple("=+-@\t\r＝＋－＠"))
        assert float(row["label_confidence"]) == 0.8
    return [(float(row["start"]), float(row["end"])) for row in rows]


def read_lab(text):
    rows = [line.split() for line in text.splitlines()]
    assert {len(row) for row in rows} == {3}
    return [(float(row[0]), float(row[1])) for row in rows]


def read_audacity(text):
    rows = [line.split("\t") for line in text.splitlines()]
    assert {len(row) for row in rows} == {3}
    assert all(title.strip() for _, _, title in rows)
    return [(float(row[0]), float(row[1])) for row in rows]


def read_rttm(text):
    rows = [line.split() for line in text.splitlines()]
    assert {len(row) for row in rows} == {10}
    return [(float(row[3]), float(row[3]) + float(row[4])) for row in rows]


def read_webvtt(text):
    header, *blocks = re.split("\n\n+", text.strip("\n"))
    assert header == "WEBVTT"
    assert len(blocks) == len(STARTS)
    assert {len(block.split("\n")) for block in blocks} == {3}
    return subtitle_cues(text)


def read_srt(text):
    blocks = text.strip("\n").split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == [f"{n}" for n in range(1, len(STARTS) + 1)]
    assert {len(block.split("\n")) for block in blocks} == {3}
    return subtitle_cues(text)


def read_rekordbox(text):
    track = ElementTree.fromstring(text.encode()).find("COLLECTION/TRACK")
    assert track is not None
    assert track.get("Location", "").startswith("file://localhost/")
    starts = [float(mark.get("Start", "")) for mark in track]
    return list(zip(starts, [*starts[1:], ENDS[-1]]))


def read_jams(text):
    (annotation,) = json.loads(text)["annotations"]
    return [(row["time"], row["time"] + row["duration"]) for row in annotation["data"]]


def read_podcast(text):
    return [(chapter["startTime"], chapter["endTime"]) for chapter in json.loads(text)["chapters"]]


def read_cue(text):
    lines = text.splitlines()
    assert [bool(re.fullmatch(r'TITLE "[^"]*"', lines[0])), bool(re.fullmatch(r'FILE "[^"]+" \w+', lines[1]))] == [
        True,
        True,
    ]
    assert len(lines) == 2 + 3 * len(STARTS)
    clocks = [line.split()[-1].split(":") for line in lines[4::3]]
    starts = [int(minutes) * 60 + int(whole) + int(frames) / 75 for minutes, whole, frames in clocks]
    return list(zip(starts, [*starts[1:], ENDS[-1]]))


def read_jsonl(text):
    assert text.count("\n") == len(text.splitlines())
    closed = [
        each.data for each in jsonl.parse_lines(text.splitlines(), name="x") if isinstance(each.data, SectionClosed)
    ]
    return [(section.start, section.end) for section in closed]


READERS = {
    "audacity": read_audacity,
    "csv": read_csv,
    "cue": read_cue,
    "jams": read_jams,
    "jsonl": read_jsonl,
    "lab": read_lab,
    "podcast-chapters": read_podcast,
    "rekordbox": read_rekordbox,
    "rttm": read_rttm,
    "srt": read_srt,
    "webvtt": read_webvtt,
}


def test_every_format_has_a_reader():
    assert READERS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(texts=anything)
@example(texts=(HOSTILE, *[(HOSTILE, HOSTILE, HOSTILE)] * 4))
@example(texts=("", *[("", "", "")] * 4))
@example(texts=(" ", *[(" ", "\u2028", "\t")] * 4))
@example(texts=('"/\x00.wav', *[("-->", '"', "CON")] * 4))
def test_any_text_gives_the_same_sections(name, texts):
    text = written(name, hostile_run(texts, encodable=name == "jsonl"))
    text.encode()
    found = READERS[name](text)
    assert [start for start, _ in found] == pytest.approx(STARTS, abs=0.5 / 75 + 1e-6)
    assert [end for _, end in found] == pytest.approx(ENDS, abs=0.5 / 75 + 1e-6)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=anything)
@example(texts=(HOSTILE, *[(HOSTILE, HOSTILE, HOSTILE)] * 4))
@example(texts=("\\", *[("\\\\", "a\\", "\\")] * 4))
def test_cuetools_reads_any_sheet(texts, tmp_path: Path):
    sheet = tmp_path / "any.cue"
    sheet.write_text(written("cue", hostile_run(texts)), encoding="utf-8")
    points = subprocess.run(["cuebreakpoints", sheet], capture_output=True, check=True, timeout=20).stdout.split()
    assert len(points) == len(STARTS) - 1


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=TEXT)
@example(title="🎵" * 200)
@example(title="é" * 300)
@example(title="a\x00b\x9b")
@example(title="...")
@example(title="CON")
def test_a_part_s_file_has_a_name_that_every_file_system_takes(title, tmp_path: Path):
    name = _make_file_name(title)
    assert 0 < len(name.encode()) <= 200
    assert not set(name) & set('\\/:*?"<>|�' + UNPRINTABLE)
    assert name == name.strip(". ")
    path = tmp_path / f"01 {name}.flac"
    path.touch()
    path.unlink()


def test_titles_that_differ_only_in_what_cannot_be_shown_are_counted_together():
    sections = collect_recording(run(labels=("A\x00", "A\x01", "A\n", "A"))).sections
    assert [section.title for section in sections] == ["A� 1", "A� 2", "A 1", "A 2"]


def test_csv_keeps_numbers_and_disarms_formulas():
    rows = list(csv.reader(io.StringIO(written("csv", run(labels=("=HYPERLINK(1)", "-1", "@x", "A"))))))
    label, start = rows[0].index("label"), rows[0].index("start")
    assert [row[label] for row in rows[1:]] == ["'=HYPERLINK(1)", "'-1", "'@x", "A"]
    assert [float(row[start]) for row in rows[1:]] == list(STARTS)


def test_rekordbox_keeps_the_bytes_of_a_file_name():
    text = written("rekordbox", run(audio="/music/caf\udce9.flac"))
    assert 'Location="file://localhost/music/caf%E9.flac"' in text
