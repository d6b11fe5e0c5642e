"""Which events a client's filter of topics and states lets through."""

from __future__ import annotations

from streamseg.wire.topics import TopicFilter


def test_min_state_hides_what_is_undecided():
    confirmed = TopicFilter.from_identify(None, "confirmed")
    assert not confirmed.matches_event("boundary", "streamseg.boundary.provisional.v1")
    assert not confirmed.matches_event("boundary", "streamseg.boundary.retracted.v1")
    assert confirmed.matches_event("boundary", "streamseg.boundary.confirmed.v1")
    assert confirmed.matches_event("section", "streamseg.section.closed.v1")
    assert not confirmed.matches_event("meter", "streamseg.meter.v1")
