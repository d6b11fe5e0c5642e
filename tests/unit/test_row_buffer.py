"""The buffer of the newest rows: against a list, whatever comes and goes."""

import pickle

import numpy as np
import pytest

from streamseg.engine.features.row_buffer import RowBuffer


@pytest.mark.parametrize("max_rows", [None, 1, 7, 50])
def test_it_holds_what_a_list_would(max_rows):
    rng = np.random.default_rng(3)
    buffer, expected, number = RowBuffer(2, max_rows, np.float32), [], 0
    for _ in range(2_000):
        n = int(rng.integers(0, 12))
        rows = np.column_stack([np.arange(number, number + n), -np.arange(number, number + n)])
        number += n
        buffer.extend(n)[:] = rows
        expected = [*expected, *rows[:, 0].tolist()]
        if max_rows is not None:
            expected = expected[-max(max_rows, n) :]
        elif len(expected) > 600:
            buffer.drop_oldest(450)
            expected = expected[450:]
        assert buffer.rows[:, 0].tolist() == expected
        assert buffer.rows[:, 1].tolist() == [-x for x in expected]
        assert len(buffer) == len(expected)
    assert buffer.rows.dtype == np.float32


def test_the_rows_are_one_piece_of_memory():
    buffer = RowBuffer(3, 4)
    for i in range(30):
        buffer.extend(1)[:] = i
        assert buffer.rows.flags.c_contiguous


def test_more_rows_than_it_holds_are_all_there_until_the_next():
    buffer = RowBuffer(1, 3)
    buffer.extend(100)[:, 0] = np.arange(100)
    assert buffer.rows[:, 0].tolist() == list(range(100))
    buffer.extend(1)[:] = 100
    assert buffer.rows[:, 0].tolist() == [98, 99, 100]


def test_memory_follows_the_rows_held_and_not_those_that_passed():
    buffer = RowBuffer(1)
    for _ in range(1_000):
        buffer.extend(100)
        buffer.drop_oldest(len(buffer) - 300)
    assert len(pickle.dumps(buffer)) < 2_048 * 8 + 1_000


def test_dropping_more_than_there_is_or_less_than_nothing():
    buffer = RowBuffer(1)
    buffer.extend(3)
    buffer.drop_oldest(-1)
    assert len(buffer) == 3
    buffer.drop_oldest(9)
    assert len(buffer) == 0


def test_it_goes_on_after_a_pickle():
    buffer = RowBuffer(1, 5)
    buffer.extend(4)[:, 0] = range(4)
    again = pickle.loads(pickle.dumps(buffer))
    for one in (buffer, again):
        one.extend(2)[:, 0] = (4, 5)
    assert again.rows.tolist() == buffer.rows.tolist() == [[1], [2], [3], [4], [5]]
