"""Silence: quiet that stays. Levels are told by letters: `#` sound, `.` quiet, `,` quiet 12 dB lower, a tenth each."""

import pickle

import numpy as np
import pytest

from streamseg.engine.sound_class.silence_detector import STEADY_S, SilenceDetector
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP, make_settings

LEVELS = {"#": -25.0, ".": -70.0, ",": -82.0, "0": -100.0}


def levels(letters):
    """Each letter for a tenth of a second, as frames."""
    edges = np.round(np.arange(len(letters) + 1) * FRAMES_PER_SECOND / 10).astype(int)
    return np.repeat([LEVELS[letter] for letter in letters], np.diff(edges))


def turns(letters, size=10**6, **changes):
    """(on, tenths since the start) of every turn."""
    quiet, told = SilenceDetector(make_settings("broadcast", **changes)), []
    level = levels(letters)
    for at in range(0, len(level), size):
        told += quiet.push(level[at : at + size])
    return [(turned.is_silent, round(turned.t * 10, 1)) for turned in told]


def test_dead_air_begins_and_ends_where_it_does():
    told = turns("#" * 30 + "0" * 40 + "#" * 20)
    assert [on for on, _ in told] == [True, False]
    assert told[0][1] == pytest.approx(30, abs=0.5)
    assert told[1][1] == pytest.approx(70, abs=1.0)


@pytest.mark.parametrize("pause", [3, 10, 20])
def test_a_pause_is_not_silence(pause):
    assert turns(("#" * 15 + "." * pause) * 4 + "###") == []


def test_what_dies_away_is_not_silent_before_it_has_settled():
    falling = np.concatenate([np.full(100, -25.0), np.linspace(-40, -99, 200), np.full(150, -100.0)])
    told = SilenceDetector(make_settings("broadcast")).push(falling)
    assert [turned.is_silent for turned in told] == [True]
    assert told[0].t > 270 * HOP / ENGINE_RATE


def test_what_is_quiet_for_as_long_as_dead_air_is_silent_whatever_its_level_does():
    assert [on for on, _ in turns("####" + ".,,." * 20)] == [True]
    assert turns("####" + ".,,." * 20)[0][1] == pytest.approx(4, abs=0.5)
    assert turns("####" + ".,,." * 20, dead_air_s=60.0) == []


def test_a_click_does_not_end_it():
    assert [on for on, _ in turns("##" + "0" * 40 + "#" + "0" * 30)] == [True]
    assert [on for on, _ in turns("##" + "0" * 40 + "##" + "0" * 30 + "##")] == [True, False, True, False]


def test_it_is_known_when_it_has_lasted():
    quiet = SilenceDetector(make_settings("broadcast"))
    (turned,) = quiet.push(levels("#" * 20 + "0" * 40))
    known_s = (turned.frame * HOP + FRAME) / ENGINE_RATE
    assert known_s - turned.t == pytest.approx(STEADY_S, abs=0.2)
    assert quiet.is_silent
    assert quiet.low_level_since == pytest.approx(2.0, abs=0.05)


def test_where_quiet_begins_is_a_setting():
    assert turns("#" * 10 + "." * 40, silence_db=-75.0) == []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pushes_of_any_size_do_not_show(size):
    letters = "##" + "0" * 40 + "#" + "0" * 30 + "###" + "." * 60
    assert turns(letters, size) == turns(letters)


def test_a_checkpoint_does_not_show():
    quiet, level = SilenceDetector(make_settings("broadcast")), levels("##" + "0" * 40 + "####")
    told = []
    for at in range(0, len(level), 9):
        quiet = pickle.loads(pickle.dumps(quiet))
        told += quiet.push(level[at : at + 9])
    assert told == SilenceDetector(make_settings("broadcast")).push(level)


def test_after_a_gap_what_was_silent_stays_so_until_it_is_heard_to_be_over():
    quiet = SilenceDetector(make_settings("broadcast"))
    quiet.push(levels("0" * 40))
    quiet.continue_after_gap()
    assert quiet.is_silent
    assert [turned.is_silent for turned in quiet.push(levels("0" * 5 + "#" * 10))] == [False]
