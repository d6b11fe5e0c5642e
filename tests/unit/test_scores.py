"""Scores of boundaries on small cases counted by hand, and those of the field's own program."""

from dataclasses import astuple

import pytest

from streamseg.evaluation.annotations import LabelledSpan
from streamseg.evaluation.scores import score_detection, score_mix_transitions, score_untrimmed


def test_nothing_to_find_and_nothing_found_is_right():
    assert astuple(score_detection([], [], 3.0)) == (1.0, 1.0, 1.0)
    assert astuple(score_detection([], [5.0], 3.0)) == (0.0, 0.0, 0.0)
    assert astuple(score_detection([5.0], [], 3.0)) == (0.0, 0.0, 0.0)


def test_an_estimate_counts_for_one_boundary_only():
    assert astuple(score_detection([10.0, 12.0], [11.0], 3.0)) == (1.0, 0.5, pytest.approx(2 / 3))


def test_both_ends_are_hits_in_the_untrimmed_score():
    """Of 0, 20, 60 (truth) and 0, 40, 60 (found), two are matched."""
    assert astuple(score_untrimmed([20.0], [40.0], 0.0, 60.0, 3.0)) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert astuple(score_detection([20.0], [40.0], 3.0)) == (0.0, 0.0, 0.0)


def test_a_transition_is_found_once_within_its_margin():
    transitions = (
        LabelledSpan(20.0, 40.0, "mix"),
        LabelledSpan(100.0, 100.0, "mix"),
        LabelledSpan(200.0, 220.0, "mix"),
    )
    found = score_mix_transitions(transitions, [25.0, 35.0, 101.0, 150.0])
    assert astuple(found.detection) == pytest.approx((2 / 4, 2 / 3, 4 / 7))
    assert [transition for transition, _ in found.pairs] == [0, 1]
    assert found.pairs[1] == (1, 2)
    nothing = score_mix_transitions((), [])
    assert (astuple(nothing.detection), nothing.pairs) == ((1.0, 1.0, 1.0), [])


def test_two_estimates_near_two_transitions_are_both_right():
    """The first could serve either, the second only the first: pairs are chosen so that most are matched."""
    transitions = (LabelledSpan(10.0, 20.0, "mix"), LabelledSpan(21.0, 30.0, "mix"))
    found = score_mix_transitions(transitions, [20.5, 8.0])  # the margin is 3 s
    assert sorted(found.pairs) == [(0, 1), (1, 0)]
