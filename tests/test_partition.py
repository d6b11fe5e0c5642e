"""The partition against the obvious quadratic recursion, and against letters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.engine.partition import Partition


def naive_changes(vectors, penalty, gamma, min_steps):
    """F(t) = min_s F(s) + C(s, t) + penalty, written down as it stands."""
    n = len(vectors)
    distance = ((vectors[:, None] - vectors[None]) ** 2).mean(axis=2)
    kernel = np.exp(-gamma * distance)
    best, previous = [0.0], [0]
    for t in range(1, n + 1):
        costs = {
            s: best[s] + (t - s) - kernel[s:t, s:t].sum() / (t - s) + penalty
            for s in range(t)
            if s == 0 or t - s >= min_steps
        }
        previous.append(min(costs, key=costs.__getitem__))
        best.append(costs[previous[-1]])
    path, at = [], previous[n]
    while at > 0:
        path.append(at)
        at = previous[at]
    return path[::-1]


def run(vectors, penalty=2.0, min_steps=2, capacity=512):
    partition = Partition(vectors.shape[1], (penalty,), gamma=0.7, min_steps=min_steps, capacity=capacity)
    paths = []
    for vector in vectors:
        partition.push(vector)
        paths.append(partition.changes())
    return partition, paths


def spelled(letters, dims=6):
    """Each letter a far-off place."""
    places = np.eye(dims) * 6
    return np.array([places[ord(letter) - ord("a")] for letter in letters])


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("aaaaaaaabbbbbbbb", [8]),
        ("aaaaaaaaaaaaaaaa", []),
        ("aaaaaabbbbbbaaaaaacccccc", [6, 12, 18]),
        ("aaaaaaaabaaaaaaa", []),
        ("a", []),
    ],
)
def test_letters(letters, expected):
    _, paths = run(spelled(letters))
    assert paths[-1] == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 6.0), st.integers(1, 6))
def test_equals_the_naive_recursion(seed, penalty, min_steps):
    rng = np.random.default_rng(seed)
    vectors = np.repeat(rng.normal(0, 2, (6, 5)), 8, axis=0) + rng.normal(0, 0.5, (48, 5))
    _, paths = run(vectors, penalty, min_steps)
    for t in (10, 30, 47):
        assert paths[t] == naive_changes(vectors[: t + 1], penalty, 0.7, min_steps)


def test_a_long_section_keeps_its_start_in_bounded_memory():
    partition, _ = run(spelled("a" * 40 + "b" * 2000), capacity=64)
    assert partition.changes() == [40]
    for vector in spelled("c" * 30):
        partition.push(vector)
    *_, last = partition.changes()
    assert last == 2040


def test_a_cut_forgets_what_lies_before():
    partition, _ = run(spelled("aaaaaaaabbbbbbbbcccccccc"))
    assert partition.changes() == [8, 16]
    partition.cut(8)
    assert partition.changes() == [16]
    partition.cut(16)
    assert partition.changes() == []
    for vector in spelled("aaaaaaaa"):
        partition.push(vector)
    assert partition.changes() == [24]
