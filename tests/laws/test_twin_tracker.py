"""The boundary tracker, written down as it stands: a dictionary of candidates by step, and one rule after the other."""

import math

import numpy as np
import pytest

from streamseg.engine.boundaries.sensitivity import compute_threshold_shift, shift_threshold, shift_thresholds
from streamseg.engine.boundaries.tracker import BoundaryTracker, compute_confirmation_thresholds
from streamseg.engine.features.texture import STEP_S
from streamseg.engine.models.weights import BoundaryModel
from streamseg.settings import make_settings


def calibrated(probability, slope, intercept):
    if probability in (0.0, 1.0):
        return probability
    odds = (probability / (1 - probability)) ** slope * math.exp(intercept)
    return odds / (1 + odds)


class NaiveTracker:
    def __init__(self, settings, model, delay_s):
        shift = compute_threshold_shift(settings)
        self.model, self.oldest = model, int(max(model.ages)) + 8
        self.near, self.apart = int(model.neighbourhood), int(model.min_distance)
        self.thresholds = list(
            shift_thresholds(compute_confirmation_thresholds(model, settings.lookahead_s, self.oldest), shift)
        )
        for age in range(self.oldest + 1):
            if delay_s and age < delay_s / STEP_S + 1:  # the age in steps is counted when the step has ended
                self.thresholds[age] = 2.0
        self.provisional = shift_threshold(settings.provisional_probability, shift)
        self.at_end = shift_threshold(0.5, shift)
        self.numbers = 0
        self.restart()

    def restart(self):
        self.now = self.last = 0
        self.pending = []  # [number, step]
        self.probability = {}

    def at(self, step):
        return self.probability.get(step, 0.0) if self.now - self.oldest - self.near <= step <= self.now else 0.0

    def threshold(self, step):
        age = self.now - step
        usual = self.thresholds[age]
        if usual > 1 or not len(self.model.spacing):
            return usual
        weight, usual_s = self.model.spacing
        times = max(1, (usual_s / (max(1, step - self.last) * STEP_S)) ** weight)
        return times * usual / (1 - usual + times * usual)

    def eligible(self):
        """From the oldest to the newest."""
        return range(max(self.now - self.oldest, self.last + self.apart), self.now + 1)

    def is_peak(self, step):
        steps = range(max(step - self.near, self.last + 1), step + self.near + 1)
        return self.at(step) >= max(map(self.at, steps), default=0)

    def others_near(self, step, mine=None):
        return [each for each in self.pending if each is not mine and abs(each[1] - step) <= self.near]

    def decide(self, state, boundary, probability=None):
        number, step = boundary
        shown = min(max(step, self.now - self.oldest), self.now)
        raw = self.at(shown)
        if probability is None:
            probability = calibrated(raw, *self.model.calibration[int(state == "confirmed")])
        return state, number, step, probability, raw / self.threshold(shown)

    def add(self, step):
        self.numbers += 1
        self.pending.append([self.numbers, step])
        return self.pending[-1]

    def push(self, row):
        self.now += 1
        for age, value in zip(self.model.ages, row, strict=True):
            self.probability[self.now - age] = value
        decisions = []
        for step in self.eligible():
            if self.at(step) >= self.threshold(step) and self.is_peak(step):
                decisions = self.confirm(step)
                break
        return decisions + self.update()

    def confirm(self, step, probability=None):
        nearest = sorted(self.others_near(step), key=lambda each: abs(each[1] - step))
        mine = nearest[0] if nearest else self.add(step)
        mine[1] = step
        passed = [each for each in self.pending if each is not mine and each[1] < step + self.apart]
        decisions = [self.decide("retracted", each) for each in passed]
        decisions.append(self.decide("confirmed", mine, probability))
        self.pending = [each for each in self.pending if each is not mine and each not in passed]
        self.last = step
        return decisions

    def confirm_boundary(self, step, probability):
        return self.confirm(step, probability) if self.last < step < self.now else []

    def update(self):
        decisions = []
        for mine in list(self.pending):
            newest = self.now - self.model.ages[0]
            places = [step for step in self.eligible() if abs(step - mine[1]) <= self.near and step <= newest]
            best = max(reversed(places), key=self.at, default=None)
            if best is None or mine[1] < self.now - self.oldest or self.at(best) < 0.6 * self.provisional:
                self.pending.remove(mine)
                decisions.append(self.decide("retracted", mine))
            elif abs(best - mine[1]) >= 2 and self.is_peak(best) and not self.others_near(best, mine):
                mine[1] = best
                decisions.append(self.decide("provisional", mine))
        late = 3 * self.provisional / (1 - self.provisional)
        for step in self.eligible():
            needed = self.provisional if self.now - step <= round(3 / STEP_S) else late / (1 + late)
            if self.at(step) >= needed and self.is_peak(step) and not self.others_near(step):
                decisions.append(self.decide("provisional", self.add(step)))
        return decisions

    def decide_all_pending_at_end(self):
        decisions = []
        for mine in sorted(self.pending, key=lambda each: each[1]):
            sure = self.at(mine[1]) >= self.at_end and mine[1] >= self.last + self.apart
            decisions.append(self.decide("confirmed" if sure else "retracted", mine))
            self.last = mine[1] if sure else self.last
        self.pending = []
        return decisions


def random_model(rng):
    none = np.zeros(0, np.int32)
    ages = np.sort(rng.choice(np.arange(1, 14), int(rng.integers(2, 6)), replace=False))
    return BoundaryModel(
        projection=np.zeros((66, 2)), classes=np.zeros((74, 2)), ages=ages,
        first=none, feature=none, threshold=np.zeros(0), left=none, right=none, value=np.zeros(0),
        glance_trees=np.array(0), gate=np.array(-np.inf), prior=np.array(1.0),
        neighbourhood=rng.integers(1, 5), min_distance=rng.integers(2, 9),
        policies=np.array([[0.0, 0.75, 0.0, float(rng.integers(1, 4))], [9.0, 0.5, 0.5, 2.0]]),
        calibration=np.array([[0.7, 0.3], [1.2, -0.4]]),
        spacing=np.array([0.6, 12.0]) if rng.random() < 0.5 else np.zeros(0),
    )  # fmt: skip


def random_rows(rng, ages, n):
    """What a classifier might say: bumps that rise or fall with age; in eighths, so that values meet thresholds."""
    heights = np.where(rng.random(n) < 0.3, rng.integers(0, 9, n), rng.integers(0, 4, n)) / 8
    trends = rng.integers(-2, 3, n) / 8
    for now in range(1, n + 1):
        row = np.zeros(len(ages))
        for k, age in enumerate(ages):
            if now - age >= 0:
                row[k] = np.clip(heights[now - age] + k * trends[now - age], 0, 1) if heights[now - age] else 0
        yield row


def as_tuples(decisions):
    return [(each.state, each.number, each.step, each.probability, each.score) for each in decisions]


@pytest.mark.parametrize("seed", range(60))
def test_the_tracker_is_its_naive_twin(seed):
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    settings = make_settings(
        "room", provisional_probability=(0.375, 0.45, 0.5)[seed % 3], lookahead_s=(5.0, 9.0)[seed % 2],
        sensitivity=(0.5, 0.5, 0.3, 0.7)[seed % 4],
    )  # fmt: skip
    delay_s = (0.0, 0.0, 0.0, 0.8, 4 * STEP_S)[seed % 5]
    tracker, naive = BoundaryTracker(settings, model, delay_s), NaiveTracker(settings, model, delay_s)
    assert tracker.lookback_s == pytest.approx((model.ages[-1] + 8 + model.neighbourhood) * STEP_S)
    for stretch in range(3):
        for row in random_rows(rng, model.ages, 120):
            ours, theirs = as_tuples(tracker.push(row)), naive.push(row)
            if rng.random() < 0.08:
                step = naive.now - int(rng.integers(-2, 12))
                ours += as_tuples(tracker.confirm_boundary(step, 0.9))
                theirs += naive.confirm_boundary(step, 0.9)
            assert [each[:3] for each in ours] == [each[:3] for each in theirs], naive.now
            assert np.array([each[3:] for each in ours]) == pytest.approx(np.array([each[3:] for each in theirs]))
        ours, theirs = as_tuples(tracker.decide_all_pending_at_end()), naive.decide_all_pending_at_end()
        assert [each[:3] for each in ours] == [each[:3] for each in theirs]
        if stretch != 1:  # a stream that ends may go on; after a long gap it starts anew
            tracker.restart()
            naive.restart()
