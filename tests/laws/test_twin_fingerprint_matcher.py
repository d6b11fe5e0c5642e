"""The matcher of jingles, written down as it stands: rows of whole arrays, and one template after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.engine.fingerprints.matcher import MatcherState, TemplateArrays, _match_frames
from streamseg.engine.fingerprints.rows import BANDS, LAGS, ROW_WIDTH

DECAY = 2 / (30 * 22_050 / 512)  # of the statistics, at every second frame


def naive_rows(mel):
    """(n, 126) for each frame and both lags: how the steps from band to band grew, in sevenths of 6 dB."""
    frames = np.arange(len(mel))
    grown = [np.diff(mel[np.maximum(frames - lag, 0)] - mel, axis=1) for lag in (3, 8)]
    return np.floor(np.clip(np.hstack(grown) / 6, -1, 1) * 7 + 0.5)


def correlation(rows, template):
    energy = (template**2).sum()
    return (rows * template).sum() / np.sqrt(energy * max((rows**2).sum(), 0.25 * energy))


class NaiveTemplate:
    def __init__(self, rows, threshold, wait, std):
        self.rows, self.threshold, self.wait, self.std = rows, threshold, wait, std
        self.mean, self.variance, self.pending = 0.0, std**2, None  # pending: [score, start, rows since]

    def push(self, rows, start):
        """rows: those of the stream that the template is laid over. Return (start, score) of a match that is sure."""
        half = len(rows) // 2
        whole, first_half = correlation(rows, self.rows), correlation(rows[:half], self.rows[:half])
        std = np.sqrt(max(self.variance, (0.7 * self.std) ** 2))
        score = (whole - self.mean) / std
        step = np.clip(score, -3, 3) * std
        self.mean += DECAY * step
        self.variance += DECAY * (step**2 - self.variance)
        begins = whole < 0.05 or first_half > 0.45 * whole
        if score >= self.threshold and begins and (self.pending is None or score > self.pending[0]):
            self.pending = [score, start, 0]
        elif self.pending:
            self.pending[2] += 1
        if not self.pending or self.pending[2] < self.wait:
            return None
        score, start, _ = self.pending
        self.pending = None
        return start, score


def naive_matches(mel, templates):
    """(frame, number of the template, start, score)"""
    rows = naive_rows(mel)
    for frame in range(0, len(mel), 2):
        for number, template in enumerate(templates):
            start = frame - 2 * (len(template.rows) - 1)
            if start >= 0 and (match := template.push(rows[start : frame + 1 : 2], start)):
                yield frame, number, *match


def matches(mel, arrays, state, piece):
    at = 0
    while at < len(mel):
        at += _match_frames(mel[at : at + piece], at, arrays, state)
        for number in np.flatnonzero(state.is_match):
            yield at - 1, number, state.best_start[number], state.best_score[number]


def as_arrays(templates):
    padded = [np.pad(each.rows, ((0, 0), (0, ROW_WIDTH - 2 * BANDS))).astype(np.int16) for each in templates]
    return TemplateArrays(
        rows=np.concatenate(padded),
        first_row=np.cumsum([0, *map(len, padded)]),
        threshold=np.array([each.threshold for each in templates]),
        wait_steps=np.array([each.wait for each in templates]),
        energy=np.array([(each.rows**2).sum() for each in templates]),
        first_half_energy=np.array([(each.rows[: len(each.rows) // 2] ** 2).sum() for each in templates]),
        initial_std=np.array([each.std for each in templates]),
    )


def fresh_state(templates):
    n, ring = len(templates), 2 * max(len(each.rows) for each in templates)
    return MatcherState(
        mel_db=np.zeros((LAGS[-1] + 1, BANDS + 1)), lagged_db=np.zeros((len(LAGS), BANDS + 1)),
        rows=np.zeros((ring, ROW_WIDTH), np.int16), row_energy=np.zeros(ring),
        mean=np.zeros(n), variance=np.array([each.std**2 for each in templates]),
        best_score=np.zeros(n), best_start=np.zeros(n, np.int64),
        wait_count=np.full(n, -1), is_match=np.zeros(n, np.int64),
    )  # fmt: skip


def restless_bands(rng, n):
    """Mel bands in quarters of a decibel, so that the twins round alike; calm, restless and silent by turns."""
    spread = np.repeat(rng.choice([0.0, 1.0, 4.0, 12.0], n // 10 + 1), 10)[:n, None]
    return np.round(4 * spread * rng.normal(size=(n, BANDS + 1))) / 4 - 40


def cut_template(rng, rows):
    """A piece of the stream, or only its second half, or one that is repeated."""
    length = int(rng.integers(4, 30))
    piece = rows[(at := int(rng.integers(9, 40))) : at + 2 * length : 2].copy()
    kind = rng.integers(0, 3)
    if kind == 1:
        piece[: length // 2] = rng.integers(-7, 8, piece[: length // 2].shape)
    if kind == 2:
        piece[length // 2 :] = piece[: length - length // 2]
    piece[0, 0] = 1 + abs(piece[0, 0])  # never without energy
    threshold, wait = rng.choice([1.0, 2.0, 4.0, 7.0]), int(rng.integers(0, 6))
    return piece, threshold, wait, 1.5 / np.sqrt(np.count_nonzero(piece))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([1, 7, 64, 1000]))
def test_the_matcher_is_its_naive_twin(seed, count, piece):
    rng = np.random.default_rng(seed)
    mel = restless_bands(rng, int(rng.integers(100, 250)))
    mel[-100:] = mel[:100]  # so that what was cut from the beginning comes again
    cuts = [cut_template(rng, naive_rows(mel)) for _ in range(count)]
    naive = [NaiveTemplate(*each) for each in cuts]
    arrays, state = as_arrays(naive), fresh_state(naive)
    ours, theirs = list(matches(mel, arrays, state, piece)), list(naive_matches(mel, naive))
    assert [each[:3] for each in ours] == [each[:3] for each in theirs]
    assert [each[3] for each in ours] == pytest.approx([each[3] for each in theirs])
    assert state.mean == pytest.approx(np.array([each.mean for each in naive]), abs=1e-9)
    assert state.variance == pytest.approx(np.array([each.variance for each in naive]), abs=1e-9)
