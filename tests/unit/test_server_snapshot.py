"""The state of a stream is a fold of its events and of nothing else."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.wire import events as e
from streamseg.wire.envelope import EventSequencer, decode_envelope, encode_envelope
from streamseg.wire.snapshot import SnapshotBuilder
from tools.load.event_feed import Talker


def fold(*events: e.Event, epoch: str = "01A") -> SnapshotBuilder:
    folded = SnapshotBuilder()
    for envelope in EventSequencer("mic", epoch, lambda: 0.0).stamp_events(events):
        folded.apply_event(envelope)
    return folded


def event(fact: e.EventData) -> e.Event:
    return e.Event("s", fact)


def boundary(n: int, t: float) -> e.Event:
    return event(
        e.BoundaryConfirmed(
            boundary_id=f"b-{n}",
            t=t,
            decided_t=t + 2,
            t_uncertainty=0,
            confidence=1,
            evidence=e.FeatureDistances(timbre=0, harmony=0, rhythm=0, level=0),
            snapped_to=None,
            prev=e.PreviousSection(section_id=f"s-{n}", label="A"),
            next=e.NextSection(section_id=f"s-{n + 1}", label="B", seen_before=False, last_seen=None),
        )
    )


def closed(n: int, start: float, end: float, ended_by: str = "boundary") -> e.Event:
    return event(
        e.SectionClosed(
            section_id=f"s-{n}",
            start=start,
            end=end,
            ended_by=ended_by,
            label="A",
            name=None,
            label_confidence=1,
            report=e.Report(duration_s=end - start),
        )
    )


def updated(n: int) -> e.Event:
    return event(
        e.SectionUpdated(
            section_id=f"s-{n}", label="A", name=None, label_probabilities={}, seen_before=False, last_seen=None
        )
    )


def provisional(n: int) -> e.Event:
    return event(e.BoundaryProvisional(boundary_id=f"b-{n}", t=1, decided_t=2, stability=0.5, score=1))


START = Talker().start()


def test_states():
    assert fold().make_snapshot().state == "waiting"
    assert fold(START).make_snapshot().state == "live"
    lost = event(e.StreamLost(t=1, reason="unplugged"))
    assert fold(START, lost).make_snapshot().state == "lost"
    assert fold(START, lost, event(e.StreamResumed(t=1, away_s=1))).make_snapshot().state == "live"
    stopped = fold(START, provisional(0), boundary(0, 5), Talker().stop()).make_snapshot()
    assert (stopped.state, stopped.section, stopped.open) == ("stopped", None, [])


def test_the_first_section_begins_at_zero():
    assert fold(START, updated(0)).make_snapshot().section.start == 0.0


def test_a_boundary_opens_a_section():
    section = fold(START, updated(0), boundary(0, 7.5), closed(0, 0, 7.5), updated(1)).make_snapshot().section
    assert (section.section_id, section.start, section.label) == ("s-1", 7.5, "A")


def test_after_a_gap_a_section_begins_behind_it():
    gap = event(e.StreamGap(t=10, missing_s=3, cause="network"))
    assert fold(START, updated(0), gap, closed(0, 0, 10, "gap"), updated(1)).make_snapshot().section.start == 13


def test_undecided_boundaries():
    folded = fold(START, provisional(0), provisional(1), provisional(2), provisional(1))
    assert [b["boundary_id"] for b in folded.make_snapshot().open] == ["b-0", "b-1", "b-2"]
    decided = fold(
        START,
        provisional(0),
        provisional(1),
        boundary(0, 1),
        event(e.BoundaryRetracted(boundary_id="b-1", decided_t=3)),
    )
    assert decided.make_snapshot().open == []


def test_alarms():
    raised = event(e.AlarmRaised(alarm="silence", since=1, level_db=-70))
    taken = event(e.AlarmAcknowledged(alarm="silence", by="ann"))
    (alarm,) = fold(START, raised, taken).make_snapshot().alarms
    assert alarm == {"alarm": "silence", "since": 1, "level_db": -70, "acknowledged_by": "ann"}
    assert (
        fold(START, raised, event(e.AlarmCleared(alarm="silence", since=1, level_db=-20))).make_snapshot().alarms == []
    )


def test_names_and_later_looks_reach_what_is_remembered():
    named = event(e.LabelNamed(label="A", name="news", by="ann"))
    other = event(e.SectionRelabelled(section_id="s-0", label="C", previous="A"))
    snapshot = fold(START, closed(0, 0, 1), closed(1, 1, 2), updated(2), other, named).make_snapshot()
    assert [(s["label"], s["name"]) for s in snapshot.recent] == [("C", None), ("A", "news")]
    assert (snapshot.section.label, snapshot.section.name) == ("A", "news")


def test_a_new_epoch_starts_afresh_but_remembers_sections():
    folded = fold(START, closed(0, 0, 1), provisional(3), boundary(0, 1))
    for envelope in EventSequencer("mic", "01B", lambda: 0.0).stamp_events([START]):
        folded.apply_event(envelope)
    snapshot = folded.make_snapshot()
    assert (snapshot.section, snapshot.open, len(snapshot.recent)) == (None, [], 1)


def test_memory_is_bounded():
    many = [closed(n, n, n + 1) for n in range(500)] + [provisional(n) for n in range(1000)]
    snapshot = fold(START, *many).make_snapshot()
    assert [s["section_id"] for s in snapshot.recent] == [f"s-{n}" for n in range(450, 500)]
    assert len(snapshot.open) <= 256


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60), cut=st.integers(0, 60))
def test_whoever_folds_the_same_events_arrives_at_the_same_state(seed, steps, cut):
    talker = Talker(seed)
    said = EventSequencer("mic", "01A", lambda: 0.0).stamp_events([e for _ in range(steps) for e in talker.say()])
    live, replayed = SnapshotBuilder(), SnapshotBuilder()
    for envelope in said:
        live.apply_event(envelope)
        replayed.apply_event(decode_envelope(encode_envelope(envelope)))
        if envelope.offset == cut:
            live.make_snapshot().alarms.append({})  # a snapshot shares nothing with the state
    assert msgspec.json.encode(live.make_snapshot()) == msgspec.json.encode(replayed.make_snapshot())
