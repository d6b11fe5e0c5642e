"""How much may wait for a client."""

from __future__ import annotations

from streamseg.server.slow_client_limit import SlowClientLimit


def test_a_client_that_reads_nothing_has_the_limit_and_no_more():
    limit = SlowClientLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(100)
    limit.record_before_write(100, 0.1)
    assert not limit.is_within_limit_after_write(101)


def test_pieces_that_waited_for_their_turn_do_not_count():
    limit = SlowClientLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(300, exempt_bytes=300)
    limit.record_before_write(300, 0.1)
    assert limit.is_within_limit_after_write(400)
    limit.record_before_write(400, 0.2)
    assert not limit.is_within_limit_after_write(401)
    limit = SlowClientLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(300, exempt_bytes=300)
    limit.record_before_write(0, 0.1)  # the piece was read
    assert not limit.is_within_limit_after_write(201)  # what was read may wait beside the limit, at most as much again


def test_what_a_client_just_read_may_wait_too_but_not_for_long_and_not_without_end():
    limit = SlowClientLimit(100)
    for i in range(20):  # reads 80 in every tenth of a second
        limit.record_before_write(10 if i else 0, i / 10)
        assert limit.is_within_limit_after_write(90)
    limit.record_before_write(10, 2.0)
    assert limit.is_within_limit_after_write(200)  # everybody spoke at once
    limit.record_before_write(200, 2.1)
    assert not limit.is_within_limit_after_write(201)  # memory is bounded
    limit = SlowClientLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(90)
    limit.record_before_write(10, 0.1)
    assert limit.is_within_limit_after_write(150)
    limit.record_before_write(150, 3.0)  # nothing was read for three seconds
    assert not limit.is_within_limit_after_write(150)
