"""Generated material: its truth is that of the sound."""

import numpy as np
import pytest

from tools.training.corpora import SAMPLE_RATE, songs
from tools.training.corpora.composer import Composer
from tools.training.corpora.mixes import Mixer, MixTrack
from tools.training.corpora.steady import make_loop, steady_sounds


@pytest.mark.parametrize("seed", range(20))
def test_the_sections_of_a_song_lie_on_bar_lines(seed):
    song = Composer(seed).compose()
    assert len(song.sections) > 4
    lead = song.sections[0][1]
    for (_, end, _), (start, _, _) in zip(song.sections, song.sections[1:], strict=False):
        assert start == end
        assert (start - lead) / song.beats_a_bar == pytest.approx(round((start - lead) / song.beats_a_bar))
    assert song.sections[0][2] == song.sections[-1][2] == "_"
    assert all(a[2] != b[2] for a, b in zip(song.sections, song.sections[1:], strict=False))


@pytest.mark.parametrize("seed", range(20))
def test_only_parts_in_capitals_are_sung(seed):
    song = Composer(seed).compose()
    sung = [n.start for n in song.notes if n.part == 0]
    assert {letter.isupper() for _, _, letter in song.sections} == {True, False}
    for start, end, letter in song.sections:
        if letter.isupper():
            assert [at for at in sung if start <= at < end], letter
        else:
            # The end of a small part may hold the upbeat of the next one.
            late = min(end, start + max(0.0, end - start - 2))
            assert not [at for at in sung if start + 0.1 < at < late], letter


def test_a_song_is_its_seed():
    assert Composer(3).compose() == Composer(3).compose() != Composer(4).compose()


def test_a_song_as_midi_lasts_as_long():
    song = Composer(5).compose()
    assert songs.to_midi(song).length == pytest.approx(song.n_beats * 60 / song.beats_a_minute, rel=0.05)


def tones():
    t = np.arange(100 * SAMPLE_RATE) / SAMPLE_RATE
    return [
        MixTrack(f"tone_{k}", (0.2 * np.sin(2 * np.pi * 300 * 1.3**k * t)).astype(np.float32), 0.0) for k in range(12)
    ]


def pitch(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return int(np.argmax(spectrum)) * SAMPLE_RATE / len(samples)


def test_a_mix_holds_each_track_where_its_truth_says():
    tracks = tones()
    hz = {track.name: 300 * 1.3**k for k, track in enumerate(tracks)}
    mixer = Mixer(tracks, seed=1)
    mixer.make_mix()
    mix, joints = mixer.make_mix()  # the second: an early track comes back
    for joint in joints:
        before = mix[int((joint.start - 3) * SAMPLE_RATE) : int((joint.start - 1) * SAMPLE_RATE)]
        after = mix[int((joint.end + 1) * SAMPLE_RATE) : int((joint.end + 3) * SAMPLE_RATE)]
        assert pitch(before) == pytest.approx(hz[joint.before], abs=1)
        assert pitch(after) == pytest.approx(hz[joint.after], abs=1)
    heard = [joints[0].before, *(joint.after for joint in joints)]
    assert len(heard) == len(set(heard)) + 1
    assert {joint.kind for joint in joints} == {"cut", "linear", "equalpower"}
    assert all((joint.end == joint.start) == (joint.kind == "cut") for joint in joints)


def test_steady_sound_is_finite_and_a_loop_returns():
    rng = np.random.default_rng(0)
    sounds = list(steady_sounds(rng))
    assert sounds
    assert all(np.isfinite(samples).all() and np.abs(samples).max() <= 1.5 for _, samples in sounds)
    turned = make_loop(rng.normal(size=20 * SAMPLE_RATE).astype(np.float32), rng)
    lags = range(int(1.5 * SAMPLE_RATE), 4 * SAMPLE_RATE)
    assert any(np.array_equal(turned[: SAMPLE_RATE // 4], turned[lag : lag + SAMPLE_RATE // 4]) for lag in lags)
