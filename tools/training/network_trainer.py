"""Training of the network that classifies sound as speech and music.

The network is trained in NumPy: scikit-learn's `MLPClassifier` has no layer that the windows of a context share and no
running means, and PyTorch would be a large dependency for this one network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.sound_class.network import CONTEXT_WINDOWS, DECISION_LAG, MEAN_DECAYS, SpeechMusicWeights
from streamseg.engine.sound_class.window_features import N_STATISTICS

Floats = NDArray[np.float32]

HIDDEN_UNITS, SECOND_LAYER_UNITS = 32, 48
_LENGTH = 240  # windows of a training sequence
_BATCH = 12  # sequences
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 0.015
_DROPOUT = 0.15  # of the inputs of the second layer
_NOISE_STD = 0.1  # added to standardised features
_MIXED_SHARE = 0.85  # a window with less of one class is a soft target of less weight
_MIXED_WEIGHT = 0.4
_MOMENT_DECAYS = 0.9, 0.998


class TrainingSequence(Protocol):
    """Windows of one programme, with shapes (windows, N_STATISTICS) and (windows, 2)."""

    @property
    def features(self) -> Floats: ...
    @property
    def targets(self) -> Floats: ...


class NetworkTrainer:
    """Trains one network: forward pass, gradient and Adam with weight decay (Kingma & Ba 2015)."""

    def __init__(self, programmes: Sequence[TrainingSequence], seed: int) -> None:
        """Initialise the weights. Raises ValueError when no programme is long enough."""
        self._rng = np.random.default_rng(seed)
        self._programmes = [programme for programme in programmes if len(programme.features) > _LENGTH // 4]
        if not self._programmes:
            raise ValueError("no programmes to train on: each is too short or shares a source with the held-out one")
        features = np.concatenate([programme.features for programme in self._programmes])
        self._mean, self._std = features.mean(axis=0), features.std(axis=0) + 1e-3
        rows = CONTEXT_WINDOWS + len(MEAN_DECAYS)
        shapes = (
            (N_STATISTICS, HIDDEN_UNITS),
            (HIDDEN_UNITS,),
            (HIDDEN_UNITS * rows, SECOND_LAYER_UNITS),
            (SECOND_LAYER_UNITS,),
            (SECOND_LAYER_UNITS, 2),
            (2,),
        )
        self.weights = [
            (self._rng.standard_normal(shape) * np.sqrt(2.0 / shape[0])).astype(np.float32)
            if len(shape) == 2
            else np.zeros(shape, np.float32)
            for shape in shapes
        ]
        self._mean_matrices = _running_mean_matrices(_LENGTH)

    def train(self, epochs: int) -> SpeechMusicWeights:
        """Train for a number of epochs, with a cosine learning rate, and return the weights."""
        moments = [(np.zeros_like(w), np.zeros_like(w)) for w in self.weights]
        steps = epochs * max(1, sum(len(one.features) for one in self._programmes) // (_LENGTH * _BATCH))
        decay_1, decay_2 = _MOMENT_DECAYS
        for step in range(steps):
            rate = _LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            gradients = self._gradients(*self._draw_batch())
            for w, (first, second), gradient in zip(self.weights, moments, gradients, strict=True):
                first += (1 - decay_1) * (gradient - first)
                second += (1 - decay_2) * (gradient**2 - second)
                scale = np.sqrt(second / (1 - decay_2 ** (step + 1))) + 1e-7
                w -= rate * (first / (1 - decay_1 ** (step + 1)) / scale + (_WEIGHT_DECAY * w if w.ndim == 2 else 0.0))
        return self.to_weights()

    def to_weights(self) -> SpeechMusicWeights:
        """Return the weights as the engine takes them, float64."""
        return SpeechMusicWeights(*(array.astype(np.float64) for array in (self._mean, self._std, *self.weights)))

    def _draw_batch(self) -> tuple[Floats, Floats]:
        """Draw sequences: features, shape (_BATCH, _LENGTH, N_STATISTICS), and targets, shape (_BATCH, _LENGTH, 2)."""
        features = np.empty((_BATCH, _LENGTH, N_STATISTICS), np.float32)
        targets = np.empty((_BATCH, _LENGTH, 2), np.float32)
        sizes = np.array([len(programme.features) for programme in self._programmes], float)
        for i, number in enumerate(self._rng.choice(len(sizes), _BATCH, p=sizes / sizes.sum())):
            programme = self._programmes[number]
            start = int(self._rng.integers(0, max(1, len(programme.features) - _LENGTH + 1)))
            rows = np.minimum(np.arange(start, start + _LENGTH), len(programme.features) - 1)
            features[i], targets[i] = programme.features[rows], programme.targets[rows]
        features = np.clip((features - self._mean) / self._std, -4.0, 4.0)
        features += _NOISE_STD * self._rng.standard_normal(features.shape, np.float32)
        return features, targets

    def _gradients(self, features: Floats, targets: Floats) -> list[Floats]:
        """Compute the gradient of the weighted cross entropy over a batch, for each of the weights."""
        w1, b1, w2, b2, w3, b3 = self.weights
        n, length = features.shape[:2]
        hidden = np.maximum(features @ w1 + b1, 0.0)
        padded = np.concatenate([np.repeat(hidden[:, :1], CONTEXT_WINDOWS - 1, axis=1), hidden], axis=1)
        means = [matrix @ hidden for matrix in self._mean_matrices]
        context = np.concatenate([*(padded[:, j : j + length] for j in range(CONTEXT_WINDOWS)), *means], axis=2)
        mask = (self._rng.random((n, 1, context.shape[2]), np.float32) > _DROPOUT) / np.float32(1 - _DROPOUT)
        context *= mask
        second = np.maximum(context @ w2 + b2, 0.0)
        log_odds = second @ w3 + b3
        delayed = np.zeros_like(log_odds)
        delayed[:, DECISION_LAG:] = targets[:, :-DECISION_LAG]
        weight = np.where(np.abs(delayed - 0.5) > _MIXED_SHARE - 0.5, 1.0, _MIXED_WEIGHT).astype(np.float32)
        weight[:, :DECISION_LAG] = 0.0
        d_log_odds = weight * (1 / (1 + np.exp(-log_odds)) - delayed) / (n * length)
        d_second = (d_log_odds @ w3.T) * (second > 0)
        d_context = (d_second @ w2.T) * mask
        d_padded = np.zeros_like(padded)
        for j in range(CONTEXT_WINDOWS):
            d_padded[:, j : j + length] += d_context[:, :, j * HIDDEN_UNITS : (j + 1) * HIDDEN_UNITS]
        d_hidden = d_padded[:, CONTEXT_WINDOWS - 1 :].copy()
        d_hidden[:, 0] += d_padded[:, : CONTEXT_WINDOWS - 1].sum(axis=1)
        for j, matrix in enumerate(self._mean_matrices, CONTEXT_WINDOWS):
            d_hidden += matrix.T @ d_context[:, :, j * HIDDEN_UNITS : (j + 1) * HIDDEN_UNITS]
        d_hidden *= hidden > 0
        layers = ((features, d_hidden), (context, d_second), (second, d_log_odds))
        return [part for inputs, d_outputs in layers for part in _layer_gradients(inputs, d_outputs)]


def _layer_gradients(inputs: Floats, d_outputs: Floats) -> tuple[Floats, Floats]:
    """Return the gradients of a layer's weights and biases."""
    flat = d_outputs.reshape(-1, d_outputs.shape[2])
    return inputs.reshape(-1, inputs.shape[2]).T @ flat, flat.sum(axis=0)


def _running_mean_matrices(length: int) -> Floats:
    """Return the running means as matrices over windows, shape (means, length, length).

    Before the first window, the input is that of the first window.
    """
    t = np.arange(length)
    age = t[:, None] - t[None, :]
    matrices = []
    for decay in MEAN_DECAYS:
        matrix = np.where(age >= 0, (1 - decay) * decay ** np.maximum(age, 0), 0.0)
        matrix[:, 0] = decay**t
        matrices.append(matrix)
    return np.array(matrices, np.float32)
