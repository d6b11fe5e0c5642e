"""The state machine of changes, tested with letters instead of sound."""

import numpy as np
import pytest

from streamseg.engine.changepoints import ChangePoints
from streamseg.settings import settings_for

PLACES = np.eye(8) * 6
QUICK = settings_for("music", penalty=2.0, min_section_s=1.0, provisional_s=1.0, confirm_s=3.0, lookback_s=20.0)


def said(letters, settings=QUICK):
    changes = ChangePoints(settings, PLACES.shape[1])
    return [
        (i, change.state, change.number, change.step)
        for i, letter in enumerate(letters)
        for change in changes.push(PLACES[ord(letter) - ord("a")])
    ]


def confirmed(letters, settings=QUICK):
    return [step for _, state, _, step in said(letters, settings) if state == "confirmed"]


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("a" * 20 + "b" * 20, [20]),
        ("a" * 60, []),
        ("a" * 20 + "b" + "a" * 20, []),
        ("a" * 20 + "b" * 20 + "a" * 20 + "c" * 20, [20, 40, 60]),
    ],
)
def test_confirmed(letters, expected):
    assert confirmed(letters) == expected


def test_provisional_comes_before_confirmed_with_the_same_number():
    states = [(state, number) for _, state, number, _ in said("a" * 20 + "b" * 20)]
    assert states == [("provisional", 1), ("confirmed", 1)]


def test_a_passing_disturbance_is_said_and_taken_back():
    patient = settings_for("music", penalty=1.0, min_section_s=1.0, provisional_s=0.5, confirm_s=8.0, lookback_s=20.0)
    states = [state for _, state, *_ in said("a" * 20 + "b" * 6 + "a" * 40, patient)]
    assert "provisional" in states
    assert states.count("retracted") + states.count("confirmed") == states.count("provisional")


def test_confirmed_in_the_order_of_time():
    rng = np.random.default_rng(3)
    letters = "".join(
        letter * int(n) for letter, n in zip(rng.choice(list("abcdefgh"), 80), rng.integers(3, 30, 80), strict=True)
    )
    steps = confirmed(letters)
    assert steps == sorted(set(steps))
    assert len(steps) > 20


def test_nothing_older_than_the_look_back_is_ever_said():
    rng = np.random.default_rng(4)
    letters = "".join(rng.choice(list("ab"), 600))
    look_back = round(QUICK.lookback_s * 22_050 / 512 / QUICK.texture_hop_frames)
    assert all(i - step <= look_back for i, _, _, step in said(letters))


def test_settling_confirms_what_holds():
    changes = ChangePoints(QUICK, PLACES.shape[1])
    for letter in "a" * 20 + "b" * 6:
        changes.push(PLACES[ord(letter) - ord("a")])
    assert [(change.state, change.step) for change in changes.settle()] == [("confirmed", 20)]
    assert changes.settle() == []
