"""Kind of sound, on the demo's programme: talk, a slow piece, rain, a dance piece, silence, the slow piece again."""

import functools

import pytest

from streamseg.engine import segment
from streamseg.settings import make_settings
from streamseg.sources.demo_programme import SAMPLE_RATE, list_demo_scenes, render_programme
from streamseg.wire.events import SectionClosed, SoundChanged


@functools.cache
def said():
    return list(segment([render_programme()], make_settings("broadcast"), sample_rate=SAMPLE_RATE))


def kinds_at(t):
    before = [event.data for event in said() if isinstance(event.data, SoundChanged) and event.data.t <= t]
    return (before[-1].speech, before[-1].music, before[-1].silence) if before else (False, False, False)


@pytest.mark.parametrize(
    ("name", "music", "silence"),
    [("slow piece", True, False), ("dance piece", True, False), ("silence", False, True), ("rain", False, False)],
)
def test_scenes_are_what_they_are(name, music, silence):
    middles = [(scene.start_s + scene.end_s) / 2 for scene in list_demo_scenes() if scene.name == name]
    assert middles
    for middle in middles:
        assert kinds_at(middle)[1:] == (music, silence), f"{name} at {middle} s"


def test_noise_is_not_speech():
    rain = next(scene for scene in list_demo_scenes() if scene.name == "rain")
    assert not kinds_at((rain.start_s + rain.end_s) / 2)[0]


def test_a_change_is_known_soon_and_dated_back():
    changes = [event.data for event in said() if isinstance(event.data, SoundChanged)]
    assert changes
    late = sorted(change.decided_t - change.t for change in changes)
    assert late[0] >= 0
    assert late[len(late) // 2] <= 3  # clear evidence decides soon
    assert late[-1] <= 10  # doubtful evidence takes longer
    assert [change.decided_t for change in changes] == sorted(change.decided_t for change in changes)


def test_the_report_of_a_section_has_its_shares():
    reports = [event.data.report for event in said() if isinstance(event.data, SectionClosed)]
    shares = [(report.speech_fraction, report.music_fraction, report.silence_fraction) for report in reports]
    assert all(share is not None and 0 <= share <= 1 for row in shares for share in row)
    assert max(row[1] for row in shares) > 0.8
    assert max(row[2] for row in shares) > 0.6
