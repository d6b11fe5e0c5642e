"""The state machine of changes, tested with letters instead of a judge.

A letter is what the judge says of the place it stands at, from the first age on: `.` nothing, `p` likely, `C` sure
only when older, `S` sure at once. Beyond the string nothing changes.
"""

import itertools

import numpy as np
import pytest

from streamseg.engine.boundaries.tracker import (
    BoundaryTracker,
    compute_confirmation_thresholds,
    compute_thresholds_by_distance,
)
from streamseg.engine.features.texture import STEP_S
from streamseg.engine.models.weights import BoundaryModel
from streamseg.settings import make_settings

AGES = np.array([1, 2, 4, 8])
SAID = {
    ".": (0, 0, 0, 0),
    "p": (0.5, 0.5, 0.5, 0.5),
    "C": (0.5, 0.5, 0.7, 0.8),
    "S": (0.95,) * 4,
    "x": (0.5, 0.1, 0, 0),
}
SETTINGS = make_settings("room", provisional_probability=0.45, lookahead_s=10.0)


def model(**parts):
    none = np.zeros(0, np.int32)
    given = {
        "projection": np.zeros((66, 2)), "classes": np.zeros((74, 2)), "ages": AGES, "first": none, "feature": none,
        "threshold": np.zeros(0), "left": none, "right": none, "value": np.zeros(0),
        "glance_trees": np.array(0), "gate": np.array(-np.inf),
        "prior": np.array(1.0),
        "neighbourhood": np.array(2), "min_distance": np.array(4), "policies": np.array([[0.0, 0.6, 0.5, 1.0]]),
    }  # fmt: skip
    return BoundaryModel(**(given | parts))


def said(letters, settle=False, **parts):
    changes = BoundaryTracker(SETTINGS, model(**parts))
    found = []
    length = len(letters) if settle else len(letters) + 20
    for step in range(1, length + 1):
        row = [SAID[letters[step - age]][k] if 0 <= step - age < len(letters) else 0.0 for k, age in enumerate(AGES)]
        found += changes.push(np.array(row, float))
    return found + (changes.decide_all_pending_at_end() if settle else [])


def spelled(changes):
    return " ".join(f"{change.state[0]}{change.number}@{change.step}" for change in changes)


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("......................", ""),
        ("..........S...........", "c1@10"),  # sure at once: nothing provisional before
        ("..........C...........", "p1@10 c1@10"),
        ("..........x...........", "p1@10 r1@10"),
        ("..........p...........", "p1@10 r1@10"),  # never sure: taken back when too old
        ("......S.......S.......", "c1@6 c2@14"),
        ("..........CC..........", "p1@10 c1@10"),  # neighbours are one change
        ("..S...................", ""),  # nearer to the start than the shortest section
    ],
)
def test_said(letters, expected):
    assert spelled(said(letters)) == expected


def test_an_earlier_doubt_is_retracted_by_a_later_certainty():
    assert spelled(said("..........p...S.......")) == "p1@10 r1@10 c2@14"


def test_confirmed_in_the_order_of_time_each_once_and_everything_said_is_decided():
    rng = np.random.default_rng(3)
    total = 0
    for _ in range(40):
        changes = said("".join(rng.choice(list("......pCSx"), 60)))
        total += len(changes)
        confirmed = [change.step for change in changes if change.state == "confirmed"]
        assert confirmed == sorted(set(confirmed))
        assert all(b - a >= 4 for a, b in itertools.pairwise(confirmed))
        last = {change.number: change.state for change in changes}
        assert "provisional" not in last.values()
        for number in last:
            states = [change.state for change in changes if change.number == number]
            assert sum(state != "provisional" for state in states) == 1
    assert total > 40


def test_settling_decides_everything_in_order():
    assert spelled(said("..........p...C", settle=True)) == "p1@10 p2@14 c1@10 c2@14"


def test_thresholds_fall_with_age_and_patience_chooses_the_policy():
    both = model(policies=np.array([[2.0, 0.5, 0.5, 1.0], [10.0, 0.3, 0.8, 4.0]]))
    hasty, patient = compute_confirmation_thresholds(both, 5.0, 12), compute_confirmation_thresholds(both, 10.0, 12)
    assert hasty[1] == pytest.approx(0.75)
    assert hasty[8] == pytest.approx(0.5)
    assert patient[3] == 2.0
    assert np.all(np.diff(hasty[1:]) <= 0)
    assert compute_confirmation_thresholds(both, 0.5, 12)[8] == pytest.approx(0.5)


def test_nearer_to_the_last_change_than_usual_more_is_needed():
    spacing = np.array([0.6, 20.0])
    needed = np.array([2.0, 0.9, 0.5, 0.2])
    near = compute_thresholds_by_distance(needed, model(spacing=spacing))
    for distance in (1, 7, 30):  # the naive twin, in odds
        times = (20.0 / (distance * STEP_S)) ** 0.6
        odds = needed[1:] / (1 - needed[1:]) * times
        assert near[distance, 1:] == pytest.approx(odds / (1 + odds))
    assert near[-1] == pytest.approx(needed)
    assert np.all(near[:, 0] == 2.0)
    assert np.all(np.diff(near, axis=0) <= 1e-12)
    assert np.array_equal(compute_thresholds_by_distance(needed, model()), [needed])


def test_an_unusually_near_change_waits_for_more_and_a_far_one_does_not():
    spaced = {"spacing": np.array([3.0, 8.0])}
    near, far = "..........................S.....C.......", "..........................S" + "." * 26 + "C......."
    assert "c2@32" in spelled(said(near))
    assert "c2@32" not in spelled(said(near, **spaced))
    assert spelled(said(far, **spaced)) == spelled(said(far)) == "c1@26 p2@53 c2@53"
    for change in said(far, **spaced):
        assert (change.score >= 1.0) == (change.state == "confirmed")


def test_a_policy_is_chosen_whose_lookahead_is_no_longer_and_thresholds_follow_the_logarithm_of_age():
    both = model(ages=np.array([2, 4, 8]), policies=np.array([[2.0, 0.5, 0.4, 2.0], [10.0, 0.3, 0.8, 4.0]]))
    assert compute_confirmation_thresholds(both, 9.5, 10) == pytest.approx([2, 2, 0.7, 0.7, *[0.6] * 4, *[0.5] * 3])
    assert compute_confirmation_thresholds(both, 10.0, 10) == pytest.approx([2, 2, 2, 2, *[0.58] * 4, *[0.3] * 3])


def test_thresholds_by_distance_end_where_the_distance_is_usual():
    near = compute_thresholds_by_distance(np.array([0.5]), model(spacing=np.array([1.0, 10.5 * STEP_S])))
    assert near.shape == (12, 1)
    assert near[0] == near[1] > near[2]
    assert near[10] > near[11] == 0.5


def test_a_boundary_of_other_means_is_confirmed_once_and_never_before_an_older_one():
    tracker = BoundaryTracker(SETTINGS, model())
    for _ in range(20):
        tracker.push(np.zeros(4))
    assert [tracker.confirm_boundary(step, 0.9) for step in (0, 20, 21)] == [[], [], []]
    (decision,) = tracker.confirm_boundary(19, 0.9)
    assert (decision.state, decision.number, decision.step, decision.probability) == ("confirmed", 1, 19, 0.9)
    assert tracker.confirm_boundary(19, 0.9) == tracker.confirm_boundary(18, 0.9) == []


def test_a_boundary_is_retracted_below_six_tenths_of_the_provisional_probability_and_not_at_it():
    limit = 0.6 * SETTINGS.provisional_probability
    for lowest, expected in ((limit, ["p1@10"]), (np.nextafter(limit, 0.0), ["p1@10", "r1@10"])):
        tracker = BoundaryTracker(SETTINGS, model())
        decisions = []
        for step in range(1, 15):  # at steps 11, 12 and 14 the candidate at 10 has the ages 1, 2 and 4
            row = {11: (0.5, 0, 0, 0), 12: (0, 0.5, 0, 0), 14: (0, 0, lowest, 0)}.get(step, (0, 0, 0, 0))
            decisions += tracker.push(np.array(row, float))
        assert spelled(decisions).split() == expected
