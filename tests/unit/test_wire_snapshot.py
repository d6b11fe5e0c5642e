"""The exact contents of snapshots after a few events."""

from __future__ import annotations

import pytest

from streamseg.wire import events as e
from streamseg.wire.envelope import EventSequencer
from streamseg.wire.snapshot import OpenSection, Snapshot, SnapshotBuilder

START = e.StreamStarted(
    sample_rate=48_000, channels=2, source="mic", profile="dj", settings={}, latency_s=3.0, hashes={}
)


def apply(builder: SnapshotBuilder, *events: e.EventData, epoch: str = "01A") -> SnapshotBuilder:
    for envelope in EventSequencer("mic", epoch, lambda: 0.0).stamp_events([e.Event("s", data) for data in events]):
        builder.apply_event(envelope)
    return builder


def after(*events: e.EventData) -> Snapshot:
    return apply(SnapshotBuilder(), *events).make_snapshot()


def provisional(n: int) -> e.BoundaryProvisional:
    return e.BoundaryProvisional(boundary_id=f"b-{n}", t=1.0, decided_t=2.0, stability=0.5, score=0.75)


def confirmed(n: int, t: float, label: str | None = "B") -> e.BoundaryConfirmed:
    return e.BoundaryConfirmed(
        boundary_id=f"b-{n}",
        t=t,
        decided_t=t + 2,
        t_uncertainty=0.1,
        confidence=0.9,
        evidence=e.FeatureDistances(timbre=0.1, harmony=0.2, rhythm=0.3, level=0.4),
        snapped_to=None,
        prev=e.PreviousSection(section_id=f"s-{n}", label="A"),
        next=e.NextSection(section_id=f"s-{n + 1}", label=label, seen_before=False, last_seen=None),
    )


def closed(n: int, start: float, end: float, label: str | None = "A", name: str | None = None) -> e.SectionClosed:
    return e.SectionClosed(
        section_id=f"s-{n}",
        start=start,
        end=end,
        ended_by="boundary",
        label=label,
        name=name,
        label_confidence=0.8,
        report=e.Report(duration_s=end - start, pitch_range_hz=(80.0, 160.0)),
    )


def updated(n: int, label: str | None = "A", name: str | None = None) -> e.SectionUpdated:
    return e.SectionUpdated(
        section_id=f"s-{n}", label=label, name=name, label_probabilities={}, seen_before=False, last_seen=None
    )


def named(label: str, name: str) -> e.LabelNamed:
    return e.LabelNamed(label=label, name=name, by="ann")


def gap(t: float, missing_s: float) -> e.StreamGap:
    return e.StreamGap(t=t, missing_s=missing_s, cause="network")


def test_before_the_first_event():
    builder = SnapshotBuilder()
    assert builder.epoch == ""
    assert builder.make_snapshot() == Snapshot(
        state="waiting", t=0.0, watermark=0.0, section=None, sound=None, alarms=[], open=[], recent=[]
    )


def test_a_snapshot_has_every_part_of_the_state():
    builder = apply(
        SnapshotBuilder(),
        START,
        e.SoundChanged(
            t=1.0,
            decided_t=2.0,
            speech=True,
            music=False,
            silence=False,
            confidence=e.SoundConfidence(speech=0.9, music=0.2, silence=0.1),
        ),
        e.AlarmRaised(alarm="silence", since=4.0, level_db=-70.0),
        named("B", "news"),
        confirmed(0, 7.5),
        closed(0, 0.0, 7.5, name="talk"),
        provisional(1),
    )
    builder.set_position(12.0, 9.0)
    report = dict.fromkeys(e.Report.__struct_fields__) | {
        "duration_s": 7.5,
        "pitch_range_hz": (80.0, 160.0),
    }
    assert builder.make_snapshot() == Snapshot(
        state="live",
        t=12.0,
        watermark=9.0,
        section=OpenSection(section_id="s-1", start=7.5, label="B", name="news"),
        sound={"speech": True, "music": False, "silence": False},
        alarms=[{"alarm": "silence", "since": 4.0, "level_db": -70.0, "acknowledged_by": None}],
        open=[{"boundary_id": "b-1", "t": 1.0, "decided_t": 2.0, "stability": 0.5, "score": 0.75}],
        recent=[
            {
                "section_id": "s-0",
                "start": 0.0,
                "end": 7.5,
                "ended_by": "boundary",
                "label": "A",
                "name": "talk",
                "label_confidence": 0.8,
                "report": report,
                "role": None,
                "role_confidence": None,
                "at_end": False,
            }
        ],
    )


def test_a_new_epoch_resets_all_but_the_recent_sections():
    sound = e.SoundChanged(
        t=1.0,
        decided_t=2.0,
        speech=True,
        music=True,
        silence=True,
        confidence=e.SoundConfidence(speech=1.0, music=1.0, silence=1.0),
    )
    alarm = e.AlarmRaised(alarm="mono", since=0.0, level_db=None)
    builder = apply(
        SnapshotBuilder(), START, named("A", "news"), sound, alarm, closed(0, 0, 5), provisional(0), confirmed(1, 5)
    )
    builder.set_position(8.0, 7.0)
    builder.start_epoch("01B")
    assert builder.epoch == "01B"
    fresh = builder.make_snapshot()
    assert [section["section_id"] for section in fresh.recent] == ["s-0"]
    fresh.recent = []
    assert fresh == Snapshot()
    apply(builder, updated(9), epoch="01B")  # the names and the time of the last boundary are forgotten too
    assert builder.make_snapshot().section == OpenSection(section_id="s-9", start=0.0, label="A", name=None)


def test_an_event_of_another_epoch_starts_it():
    builder = apply(SnapshotBuilder(), START, provisional(0))
    apply(builder, provisional(1), epoch="01B")
    assert builder.epoch == "01B"
    assert [boundary["boundary_id"] for boundary in builder.make_snapshot().open] == ["b-1"]
    assert builder.make_snapshot().state == "waiting"


def test_a_high_volume_event_changes_nothing():
    assert after(START, e.MeterReading(t=1.0, rms_db=-20.0, peak_db=-10.0)) == after(START)


def test_a_confirmed_boundary_opens_a_section_with_the_name_of_its_label():
    assert after(named("B", "news"), confirmed(0, 7.5)).section == OpenSection(
        section_id="s-1", start=7.5, label="B", name="news"
    )
    assert after(named("A", "news"), confirmed(0, 7.5)).section.name is None
    assert after(named("A", "news"), confirmed(0, 7.5, label=None)).section == OpenSection(
        section_id="s-1", start=7.5, label=None, name=None
    )


def test_256_provisional_boundaries_are_listed_and_then_the_oldest_is_dropped():
    listed = [boundary["boundary_id"] for boundary in after(*map(provisional, range(256))).open]
    assert listed == [f"b-{n}" for n in range(256)]
    listed = [boundary["boundary_id"] for boundary in after(*map(provisional, range(257))).open]
    assert listed == [f"b-{n}" for n in range(1, 257)]


@pytest.mark.parametrize(
    "event",
    [
        e.BoundaryRetracted(boundary_id="b-7", decided_t=3.0),
        e.AlarmCleared(alarm="silence", since=0.0, level_db=None),
        e.AlarmAcknowledged(alarm="silence", by="ann"),
        e.SectionRelabelled(section_id="s-7", label="C", previous="A"),
        named("Z", "news"),
    ],
    ids=lambda event: event.type,
)
def test_an_event_about_something_unknown_changes_nothing(event):
    before = (START, confirmed(0, 5.0), closed(0, 0.0, 5.0), provisional(3))
    assert after(*before, event) == after(*before)


def test_alarms_are_acknowledged_and_cleared_by_their_kind():
    silence = e.AlarmRaised(alarm="silence", since=1.0, level_db=-70.0)
    mono = e.AlarmRaised(alarm="mono", since=2.0, level_db=None)
    taken = e.AlarmAcknowledged(alarm="mono", by="ann")
    assert after(silence, mono, taken).alarms == [
        {"alarm": "silence", "since": 1.0, "level_db": -70.0, "acknowledged_by": None},
        {"alarm": "mono", "since": 2.0, "level_db": None, "acknowledged_by": "ann"},
    ]
    cleared = e.AlarmCleared(alarm="silence", since=1.0, level_db=-20.0)
    assert [alarm["alarm"] for alarm in after(silence, mono, cleared).alarms] == ["mono"]


def test_an_update_of_the_open_section_keeps_its_start():
    section = after(confirmed(0, 7.5), gap(10.0, 3.0), updated(1, label="C", name="jingle")).section
    assert section == OpenSection(section_id="s-1", start=7.5, label="C", name="jingle")


def test_an_update_of_another_section_opens_it_behind_the_last_boundary_and_gap():
    assert after(updated(0), gap(10.0, 3.0), updated(1)).section.start == 13.0
    assert after(updated(0), closed(0, 0.0, 6.0), updated(1)).section.start == 6.0
    assert after(gap(10.0, 3.0), closed(0, 0.0, 10.0), gap(1.0, 0.5), updated(1)).section.start == 13.0


@pytest.mark.parametrize("make", [updated, lambda n, label, name: closed(n, 0.0, 1.0, label, name)])
def test_a_name_that_a_user_gave_in_this_epoch_replaces_that_of_the_event(make):
    def name_of(*events: e.EventData) -> str | None:
        snapshot = after(*events)
        return snapshot.section.name if snapshot.section else snapshot.recent[0]["name"]

    assert name_of(make(0, "A", "talk")) == "talk"
    assert name_of(named("A", "news"), make(0, "A", "talk")) == "news"
    assert name_of(named("B", "news"), make(0, "A", "talk")) == "talk"
    assert name_of(named("B", "news"), make(0, "A", None)) is None
    assert name_of(named("A", "news"), make(0, None, "talk")) == "talk"
    assert name_of(named("talk", "news"), make(0, "A", "talk")) == "talk"


def test_only_the_end_of_the_open_section_closes_it():
    assert after(updated(1), closed(0, 0.0, 5.0)).section.section_id == "s-1"
    assert after(updated(1), closed(1, 0.0, 5.0)).section is None
    assert len(after(closed(1, 0.0, 5.0)).recent) == 1


def test_relabelling_changes_the_open_or_the_recent_section_of_that_id_only():
    sections = (closed(0, 0.0, 5.0), closed(1, 5.0, 9.0), updated(2))
    recent = after(*sections, e.SectionRelabelled(section_id="s-1", label="C", previous="A"))
    assert [section["label"] for section in recent.recent] == ["A", "C"]
    assert recent.section.label == "A"
    unchanged = after(*sections)
    unchanged.recent[1]["label"] = "C"
    assert recent == unchanged
    now = after(*sections, e.SectionRelabelled(section_id="s-2", label="C", previous="A"))
    assert now.section == OpenSection(section_id="s-2", start=9.0, label="C", name=None)
    assert [section["label"] for section in now.recent] == ["A", "A"]


def test_naming_changes_the_sections_of_that_label_only():
    sections = (closed(0, 0.0, 5.0, "A"), closed(1, 5.0, 9.0, "B"), updated(2, "B"))
    first, second = after(*sections, named("A", "talk")), after(*sections, named("B", "news"))
    assert [section["name"] for section in first.recent] == ["talk", None]
    assert [section["name"] for section in second.recent] == [None, "news"]
    assert (first.section.name, second.section.name) == (None, "news")
    assert [section["section_id"] for section in second.recent] == ["s-0", "s-1"]
    assert after(named("A", "talk")).section is None


def test_1024_names_are_remembered_and_then_the_oldest_is_dropped():
    names = [named(f"L{n}", f"name {n}") for n in range(1025)]
    assert after(*names[:1024], updated(0, "L0")).section.name == "name 0"
    assert after(*names, updated(0, "L0")).section.name is None
    assert after(*names, updated(0, "L1")).section.name == "name 1"
    assert after(*names, updated(0, "L1024")).section.name == "name 1024"


def test_50_recent_sections_are_listed():
    snapshot = after(*(closed(n, n, n + 1.0) for n in range(51)))
    assert [section["section_id"] for section in snapshot.recent] == [f"s-{n}" for n in range(1, 51)]


def test_a_snapshot_stays_as_it_was_made():
    builder = apply(SnapshotBuilder(), START, updated(0), provisional(0), closed(7, 0.0, 1.0))
    made = builder.make_snapshot()
    apply(
        builder,
        e.SectionRelabelled(section_id="s-0", label="Z", previous="A"),
        e.SectionRelabelled(section_id="s-7", label="Z", previous="A"),
        provisional(1),
    )
    assert made == after(START, updated(0), provisional(0), closed(7, 0.0, 1.0))
