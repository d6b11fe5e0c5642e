"""Law 7, hostile sound is sound; and what is no sound is refused."""

import numpy as np
import pytest

from laws.engine_scenes import QUICK, boundaries, scenes
from streamseg.engine import Segmenter, segment
from streamseg.errors import UsageError


def hostile():
    n = 22_050 * 6
    rng = np.random.default_rng(6)
    sound = rng.normal(0, 0.1, n).astype(np.float32)
    broken = sound.copy()
    broken[::1000] = np.nan
    broken[1::1777] = np.inf
    broken[2::1777] = -np.inf
    yield "silence", np.zeros(n, np.float32), 22_050
    yield "clipping", np.sign(sound), 22_050
    yield "constant", np.full(n, 0.9, np.float32), 22_050
    yield "nan and inf", broken, 22_050
    yield "denormals", np.full(n, 1e-42, np.float32), 22_050
    yield "huge", sound * np.float32(1e30), 22_050
    yield "one sample", sound[:1], 22_050
    yield "nothing", sound[:0], 22_050
    yield "8 kHz", sound, 8_000
    yield "192 kHz", np.tile(sound, 3), 192_000
    yield "32 channels", np.tile(sound[: n // 4, None], (1, 32)), 48_000
    yield "odd rate", sound, 44_099


@pytest.mark.parametrize(("sound", "rate"), [pytest.param(s, r, id=name) for name, s, r in hostile()])
def test_hostile_sound_is_sound(sound, rate):
    segmenter = Segmenter(QUICK, sample_rate=rate, telemetry=True)
    events = segmenter.push(sound)
    if len(sound) > 1 and sound.ndim == 1:
        # Whatever that was, the engine hears on as if new: the changes that follow are found.
        after = scenes(rate)
        start = segmenter.t
        events += segmenter.push(after)
        found = boundaries(events + segmenter.finish())
        for wanted in (start + 9, start + 17):
            assert min(abs(t - wanted) for t in found) < 0.2
    else:
        events += segmenter.finish()
    for event in events:
        for value in event.data.__struct_fields__:
            number = getattr(event.data, value)
            assert not isinstance(number, float) or np.isfinite(number)


class TestAskedWrongly:
    def test_a_shape_that_is_no_sound(self):
        with pytest.raises(UsageError, match="shape"):
            Segmenter().push(np.zeros((2, 2, 2), np.float32))

    def test_a_change_of_channels(self):
        segmenter = Segmenter()
        segmenter.push(np.zeros((10, 2), np.float32))
        for wrong in (np.zeros((10, 1), np.float32), np.zeros((1_000, 1), np.float32), np.zeros(1, np.float32)):
            with pytest.raises(UsageError, match="channels"):
                segmenter.push(wrong)
        assert segmenter.push(np.zeros((0, 1), np.float32)) == []  # of nothing, no channels are counted
        assert segmenter.t == 10 / 22_050

    @pytest.mark.parametrize("before", [0, 10])
    def test_sound_after_the_end(self, before):
        segmenter = Segmenter()
        segmenter.push(np.zeros(before, np.float32))
        segmenter.finish()
        with pytest.raises(UsageError, match="finished"):
            segmenter.push(np.zeros(10, np.float32))

    def test_arrays_without_a_rate(self):
        with pytest.raises(UsageError, match="sample_rate"):
            list(segment([np.zeros(10, np.float32)]))
