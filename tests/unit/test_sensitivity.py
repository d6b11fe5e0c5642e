"""Sensitivity: the same events as ever at .5, more changes above it, fewer below; jingles and gaps stay."""

import math
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from streamseg.engine import Segmenter, segment
from streamseg.engine.boundaries.sensitivity import (
    compute_threshold_shift,
    lower_gate_at_high_sensitivity,
    shift_threshold,
)
from streamseg.engine.boundaries.tracker import (
    BoundaryTracker,
    compute_confirmation_thresholds,
    compute_thresholds_by_distance,
)
from streamseg.engine.fingerprints.fingerprint import make_fingerprint
from streamseg.engine.models.loader import load_boundary_model
from streamseg.engine.named_sounds import NamedSound, NamedSounds
from streamseg.errors import SettingRangeError
from streamseg.settings import Profile, make_settings
from streamseg.sources.demo_programme import SAMPLE_RATE, render_programme
from streamseg.wire.events import BoundaryConfirmed, Event, SectionClosed, StreamStarted
from tools.accuracy.fingerprints import make_melody
from tools.command import run

JINGLE = make_melody(np.random.default_rng(2))  # at the engine's rate, half of the programme's
KNOWN = NamedSounds((NamedSound(name="News", kind="cue", content=make_fingerprint("News", JINGLE).to_bytes()),))
AS_PLAYED = np.repeat(JINGLE, 2)[:, None]
SCALE = (0.0, 0.3, 0.5, 0.7, 1.0)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return render_programme()


def events_of(sound: np.ndarray, **changes: float) -> list[Event]:
    return list(segment([sound], make_settings("music", **changes), sample_rate=SAMPLE_RATE))


@pytest.mark.parametrize("wrong", [-0.01, 1.01, math.nan, "high", True, None])
def test_it_is_a_number_from_0_to_1(wrong):
    with pytest.raises(SettingRangeError, match=r"sensitivity cannot be .*: it is a number from 0 to 1"):
        make_settings("dj", sensitivity=wrong)


@pytest.mark.parametrize("profile", get_args(Profile))
def test_every_threshold_falls_as_it_rises(profile):
    model = load_boundary_model(profile)
    needed = [BoundaryTracker(make_settings(profile, sensitivity=x), model) for x in SCALE]
    for lower, higher in pairwise(needed):
        reachable = lower._confirmation_thresholds < 1.0
        assert (higher._confirmation_thresholds[reachable] < lower._confirmation_thresholds[reachable]).all()
        assert (
            higher._confirmation_thresholds[~reachable] == lower._confirmation_thresholds[~reachable]
        ).all()  # an age too young stays too young
        assert (higher._provisional_thresholds < lower._provisional_thresholds).all()
        assert higher._threshold_at_end < lower._threshold_at_end
    gates = [float(lower_gate_at_high_sensitivity(model, make_settings(profile, sensitivity=x)).gate) for x in SCALE]
    assert gates == sorted(gates, reverse=True)
    assert gates[-1] < gates[2] == float(model.gate)


@pytest.mark.parametrize("profile", get_args(Profile))
def test_the_middle_moves_nothing(profile):
    settings, model = make_settings(profile), load_boundary_model(profile)
    assert settings.sensitivity == 0.5
    assert compute_threshold_shift(settings) == 0.0
    assert lower_gate_at_high_sensitivity(model, settings) is model
    changes = BoundaryTracker(settings, model)
    needed = compute_confirmation_thresholds(model, settings.lookahead_s, changes._oldest)
    assert (changes._confirmation_thresholds == compute_thresholds_by_distance(needed, model)).all()
    assert (changes._provisional, changes._threshold_at_end) == (settings.provisional_probability, 0.5)


def test_a_threshold_moves_by_log_odds():
    assert shift_threshold(0.5, math.log(3)) == pytest.approx(0.75)
    assert shift_threshold(0.75, -math.log(3)) == pytest.approx(0.5)
    assert shift_threshold(2.0, -5.0) == 2.0  # never, at any sensitivity


def test_more_changes_at_1_than_at_0(sound):
    found = {x: events_of(sound, sensitivity=x) for x in (0.0, 0.5, 1.0)}
    assert found[0.5] == events_of(sound)
    counts = []
    for x, events in found.items():
        started = events[0].data
        assert isinstance(started, StreamStarted)
        assert started.settings["sensitivity"] == x
        counts.append(sum(isinstance(event.data, BoundaryConfirmed) for event in events))
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_jingles_and_gaps_do_not_depend_on_it(sound):
    heard = []
    for x in (0.0, 0.5, 1.0):
        segmenter = Segmenter(make_settings("broadcast", sensitivity=x), sample_rate=SAMPLE_RATE, named_sounds=KNOWN)
        events = segmenter.push(np.concatenate([sound[: 8 * SAMPLE_RATE], AS_PLAYED, sound[: 12 * SAMPLE_RATE]]))
        events += segmenter.push_gap(5 * SAMPLE_RATE, "overflow")
        events += segmenter.push(sound[: 3 * SAMPLE_RATE]) + segmenter.finish()
        facts = [event.data for event in events]
        snapped = [
            (fact.t, fact.decided_t) for fact in facts if isinstance(fact, BoundaryConfirmed) and fact.snapped_to
        ]
        ended = [fact.end for fact in facts if isinstance(fact, SectionClosed) and fact.ended_by == "gap"]
        heard.append((snapped, ended))
    assert [len(part) for part in heard[1]] == [1, 1]
    assert heard[0] == heard[1] == heard[2]


@pytest.mark.parametrize("command", ["analyze", "serve", "listen", "split", "demo", "evaluate"])
def test_help_names_it(command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert "--sensitivity" in done.stdout
