"""Minutes of sound in which nothing changes; `tools/load/hostile_hours.py` hears hours of it."""

import pytest

from tools.load.hostile_hours import SOUNDS, find_confirmed


@pytest.mark.parametrize("profile", ["music", "dj", "broadcast"])  # `room` judges as `broadcast` does
@pytest.mark.parametrize("sound", SOUNDS)
def test_nothing_changes(sound, profile):
    assert find_confirmed(sound, 4.0, profile, seed=1) == []  # an hour may have one; four minutes, none
