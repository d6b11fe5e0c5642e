"""The evidence, written down as it stands: whole similarity matrices and plain loops."""

import numpy as np
import pytest

from streamseg.engine.boundaries.candidates import CandidateScorer
from streamseg.engine.features.periodicity import PERIODICITY_DIMS, PERIODICITY_FRAMES, compute_periodicity
from streamseg.engine.features.texture import TEXTURE_MEAN, TEXTURE_STD
from streamseg.engine.models.weights import BoundaryModel

AGES = np.array([3, 8, 20, 40])
THOUGHT = 0.5  # without trees every glance is a toss-up
SPANS = (4, 8, 16, 32, 64, 128, 256)


def a_model(rng):
    none = np.zeros(0, np.int32)
    return BoundaryModel(
        projection=rng.normal(size=(66, 6)) / 8, classes=rng.normal(size=(74, 3)) / 8, ages=AGES,
        first=none, feature=none, threshold=np.zeros(0), left=none, right=none, value=np.zeros(0),
        glance_trees=np.array(0), gate=np.array(-np.inf),
        prior=np.array(1.0), neighbourhood=np.array(8), min_distance=np.array(8),
        policies=np.array([[0.0, 0.5, 0.0, 3.0]]),
    )  # fmt: skip


def some_vectors(rng, n):
    places = rng.normal(size=(5, 74))
    which = np.repeat(rng.integers(0, 5, n // 20 + 1), 20)[:n]
    texture = np.clip(places[which] + 0.6 * rng.normal(size=(n, 74)), -5, 5)
    return np.hstack([texture, rng.random((n, PERIODICITY_DIMS))])


def spaces(model, vectors):
    chroma = vectors[:, 20:32] * TEXTURE_STD[20:32] + TEXTURE_MEAN[20:32]
    chroma *= np.sqrt(12) / np.linalg.norm(chroma, axis=1, keepdims=True)
    for x, gamma in (
        (vectors[:, :66] @ model.projection, 0.5),
        (vectors[:, :66], 0.7),
        (chroma, 4.0),
        (vectors[:, 66:74], 0.7),
    ):
        yield x, (1 + gamma / 4 * ((x[:, None] - x[None]) ** 2).mean(axis=2)) ** -4


def block(kernel, a, b, c, d):
    return kernel[a:b, c:d].mean()


def novelty(x, kernel, c, e):
    for span in SPANS:
        p, f = max(0, c - span), min(span, e - c) + c
        across = block(kernel, p, c, c, f)
        yield 0.5 * (block(kernel, p, c, p, c) + block(kernel, c, f, c, f)) - across
        yield across
        yield np.sqrt(((x[c:f].mean(axis=0) - x[p:c].mean(axis=0)) ** 2).mean())
    yield block(kernel, c, e, c, e)
    value = {}
    for shift in (-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6):
        low, x = c - 16, c + shift
        if low >= 0 and x < e:
            value[shift] = kernel[low:x, low:x].sum() / (x - low) + kernel[x:e, x:e].sum() / (e - x)
    yield value.pop(0) - max(value.values()) if value else 0.0


def cost(kernel, a, b):
    return b - a - kernel[a:b, a:b].sum() / (b - a)


def partitions(kernel, penalties, e):
    """best[t], previous[t] for each penalty, and since when the best path has passed each place."""
    for penalty in penalties:
        best, previous, since = [-penalty], [0], {}
        for t in range(1, e + 1):
            ways = {s: best[s] + cost(kernel, s, t) + penalty for s in range(max(1, t - 5))}
            previous.append(min(ways, key=ways.__getitem__))
            best.append(ways[previous[-1]])
            path, at = set(), previous[t]
            while at > 0 and len(path) < 12:
                path.add(at)
                at = previous[at]
            since = {place: since.get(place, t) for place in path if place >= t - 64}
        yield penalty, best, previous, since


def partition(kernel, penalties, c, e):
    for penalty, best, previous, since in partitions(kernel, penalties, e):
        way = best[c] + cost(kernel, c, e) + penalty
        yield way - best[e]
        yield best[previous[c]] + cost(kernel, previous[c], e) + penalty - way
        near = sorted((abs(place - c), place) for place in since if abs(place - c) <= 6)
        yield near[0][0] if near else 20
        yield min(e - since[near[0][1]] + 1, 40) if near else 0
        yield c - previous[c]


def parallels(kernel, c, e):
    for span in (8, 16, 32):
        f, p = min(span, e - c), min(span, c)
        later = {
            g: np.mean([kernel[c + i, c + i - g] if c + i >= g else 0 for i in range(f)]) for g in range(16, c - p)
        }
        sooner = {
            g: np.mean([kernel[c - 1 - i, c - 1 - i - g] if c - 1 - i >= g else 0 for i in range(p)]) for g in later
        }
        if not later:
            yield from [-1.0] * 8
            continue
        yield max(later.values())
        yield max(sooner.values())
        yield max(later[g] - sooner[g] for g in later)
        yield max(sooner[g] - later[g] for g in later)
        yield max(min(later[g], sooner[g]) for g in later)
        yield np.mean([later[g] - sooner[g] for g in later])
        yield max(min(later[g], sooner[g]) * THOUGHT for g in later if e - (c - g) >= 12)
        yield THOUGHT


def matches(kernel, c, e):
    for width in (16, 32):
        after = slice(c, min(c + 32, e))
        windows = [kernel[after, s : s + width].mean() for s in range(0, c - width - 7, 4)]
        yield max(windows)
        yield max(windows) - kernel[c : min(c + width, e), c - width : c].mean()


def rhythm(vectors, c, e):
    for span in (16, 32, 64):
        f, p = min(span, e - c), min(span, c)
        after, before = vectors[c : c + f, 74:].sum(axis=0), vectors[c - p : c, 74:].sum(axis=0)
        after, before = after[:-1] / (after[-1] + 1e-3), before[:-1] / (before[-1] + 1e-3)
        x, y = after - after.mean(), before - before.mean()
        yield x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-9)
        yield after.std()
        yield before.std()
        yield np.abs(x - y).mean()


def naive_periodicity(onset):
    peaks = [min(max(onset[i] - 0.9 * onset[i - 43 : i].mean(), 0), 6) if i >= 43 else 0 for i in range(len(onset))]
    smooth = np.convolve(peaks, [0.25, 0.5, 0.25], "same")
    last = range(len(onset) - 32, len(onset) - 11)
    return [sum(smooth[i] * smooth[i - lag] for i in last) for lag in (*range(8, 132), 0)]


def test_periodicity_equals_its_naive_twin():
    onset = np.random.default_rng(9).random(PERIODICITY_FRAMES) * 5
    assert compute_periodicity(onset) == pytest.approx(naive_periodicity(onset))


def test_equals_the_naive_twin():
    rng = np.random.default_rng(7)
    model, n = a_model(rng), 150
    vectors = some_vectors(rng, n)
    evidence = CandidateScorer(model)
    for vector in vectors[:-1]:
        evidence.push(vector)
    evidence.push(vectors[-1])
    known = list(spaces(model, vectors))
    for row, age in zip(evidence.features, AGES, strict=True):
        c = n - age
        expected = [number for x, kernel in known for number in novelty(x, kernel, c, n)]
        expected += partition(known[0][1], (4, 8, 12, 18), c, n)
        expected += partition(known[1][1], (3, 6, 10), c, n)
        assert row[: len(expected)] == pytest.approx(np.array(expected, float), abs=1e-4)
        assert row[evidence.n_glance_features - 5 : evidence.n_glance_features - 3] == pytest.approx(
            [np.log(age), c / 600]
        )
        closer = [*parallels(known[2][1], c, n), *parallels(known[1][1], c, n)]
        closer += [*matches(known[0][1], c, n), *rhythm(vectors, c, n)]
        found = row[evidence.n_glance_features :]
        assert found[: len(closer)] == pytest.approx(np.array(closer, float), abs=1e-4)


def test_packing_the_memory_changes_nothing():
    """Beyond its capacity the memory is packed; whoever starts later and has heard enough tells the same."""
    rng = np.random.default_rng(8)
    model = a_model(rng)
    vectors = some_vectors(rng, 1700)
    old, young = CandidateScorer(model), CandidateScorer(model)
    for vector in vectors[:240]:
        old.push(vector)
    for vector in vectors[240:]:
        old.push(vector)
        young.push(vector)
    a, b = old.features, young.features
    # What hangs on the very beginning (how old the stream is, ways of the partition) may differ; sums may not.
    novel = 4 * 23
    assert a[:, :novel] == pytest.approx(b[:, :novel], abs=1e-9)
    closer = slice(old.n_glance_features, old.n_glance_features + 48 + 4 + 12)
    assert a[:, closer] == pytest.approx(b[:, closer], abs=1e-9)
