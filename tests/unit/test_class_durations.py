"""Seconds of each sound class, for reports."""

import pytest

from streamseg.engine.sections.report import SectionReportBuilder
from streamseg.engine.sound_class.durations import ClassDurations

OFF = {"speech": False, "music": False, "silence": False}


def test_seconds_add_up_over_changes_and_reading_changes_nothing():
    durations = ClassDurations()
    durations.add_change(2.0, OFF | {"music": True})
    durations.add_change(5.0, OFF | {"music": True, "speech": True})
    durations.add_change(6.0, OFF)
    times = {0.0: (0, 0, 0), 2.0: (0, 0, 0), 4.0: (0, 2, 0), 5.5: (0.5, 3.5, 0), 9.0: (1, 4, 0)}
    for _ in range(2):
        for t in sorted(times, reverse=True):
            assert durations.seconds_until(t) == pytest.approx(times[t])
    assert durations.active_classes == OFF
    assert durations.changed_at == 6.0


def test_a_report_has_the_shares_of_its_own_section():
    durations = ClassDurations()
    reporter = SectionReportBuilder(60.0, durations)
    durations.add_change(2.0, OFF | {"music": True})
    first = reporter.close_section(0.0, 8.0)
    durations.add_change(10.0, OFF | {"silence": True})
    second = reporter.close_section(8.0, 16.0)
    assert (first.speech_fraction, first.music_fraction, first.silence_fraction) == (0.0, 0.75, 0.0)
    assert (second.speech_fraction, second.music_fraction, second.silence_fraction) == (0.0, 0.25, 0.75)


def test_a_section_is_reported_even_when_its_start_is_older_than_the_changes_that_are_remembered():
    durations = ClassDurations()
    reporter = SectionReportBuilder(60.0, durations)
    reporter.close_section(0.0, 1.0)
    for change in range(200):
        durations.add_change(2.0 + change, OFF | {"speech": change % 2 == 0})
    assert reporter.close_section(1.0, 201.0).speech_fraction == pytest.approx(0.5, abs=0.01)
