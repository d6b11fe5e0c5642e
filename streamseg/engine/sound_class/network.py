"""Runs the network that classifies window features as speech and music: two hidden layers, a memory of the first.

The first layer processes one window. The second layer processes the first layer's output for the last CONTEXT_WINDOWS
windows and two running means of it, over about 4 and 20 s: talk over music shows in music that was there before and
never left.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel
from streamseg.engine.models.loader import load_shipped_arrays

Floats = NDArray[np.float64]

CONTEXT_WINDOWS: Final = 8
DECISION_LAG: Final = 2  # windows from the newest one back to the one that is classified
MEAN_DECAYS: Final = (0.88, 0.975)  # of the running means, per window
_CLIP: Final = 4.0  # standard deviations


class SpeechMusicWeights(NamedTuple):
    """The trained weights of the neural network `SpeechMusicNetwork`.

    S: features of a window. H, K: units of the first and of the second hidden layer.
    """

    mean: Floats  # float64 (S,)
    std: Floats  # float64 (S,)
    w1: Floats  # float64 (S, H)
    b1: Floats  # float64 (H,)
    w2: Floats  # float64 (H * (CONTEXT_WINDOWS + len(MEAN_DECAYS)), K) oldest window first, then the means
    b2: Floats  # float64 (K,)
    w3: Floats  # float64 (K, 2) speech, music
    b3: Floats  # float64 (2,)


class SpeechMusicLogOdds(NamedTuple):
    """Log-odds that a window of half a second contains speech, and log-odds that the window contains music."""

    speech: float
    music: float


class NetworkState(NamedTuple):
    """The memory that `SpeechMusicNetwork` keeps of earlier windows, and its scratch arrays.

    H, K: units of the first and of the second hidden layer.
    """

    memory: Floats  # float64 (CONTEXT_WINDOWS + len(MEAN_DECAYS), H) first layer, oldest window first; its means
    hidden_layer: Floats  # float64 (H,) scratch
    second_layer: Floats  # float64 (K,) scratch


SPEECH_MUSIC_WEIGHTS: Final = SpeechMusicWeights(**load_shipped_arrays("sound_class"))


@kernel
def _run_network(features: Floats, net: SpeechMusicWeights, is_first: bool, state: NetworkState, out: Floats) -> None:
    """Process one window; write the log-odds of speech and music DECISION_LAG windows ago.

    features: float64 (S,), of the window.
    is_first: whether the window is the first one; the memory is then filled with it.
    out: float64 (2,), written.
    """
    n_hidden, n_second = net.b1.size, net.b2.size
    memory, hidden_layer, second_layer = state.memory, state.hidden_layer, state.second_layer
    for h in range(n_hidden):
        hidden_layer[h] = net.b1[h]
    for i in range(features.size):
        z = (features[i] - net.mean[i]) / net.std[i]
        z = min(max(z, -_CLIP), _CLIP)
        for h in range(n_hidden):
            hidden_layer[h] += z * net.w1[i, h]
    for h in range(n_hidden):
        hidden_layer[h] = max(0.0, hidden_layer[h])
        for row in range(CONTEXT_WINDOWS - 1):
            memory[row, h] = hidden_layer[h] if is_first else memory[row + 1, h]
        memory[CONTEXT_WINDOWS - 1, h] = hidden_layer[h]
        for i in range(len(MEAN_DECAYS)):
            mean = memory[CONTEXT_WINDOWS + i, h]
            memory[CONTEXT_WINDOWS + i, h] = (
                hidden_layer[h] if is_first else MEAN_DECAYS[i] * mean + (1.0 - MEAN_DECAYS[i]) * hidden_layer[h]
            )
    for k in range(n_second):
        second_layer[k] = net.b2[k]
    for row in range(CONTEXT_WINDOWS + len(MEAN_DECAYS)):
        for h in range(n_hidden):
            x = memory[row, h]
            if x != 0.0:
                for k in range(n_second):
                    second_layer[k] += x * net.w2[row * n_hidden + h, k]
    for c in range(2):
        out[c] = net.b3[c]
        for k in range(n_second):
            out[c] += max(0.0, second_layer[k]) * net.w3[k, c]


class SpeechMusicNetwork:
    """Computes the log-odds of speech and of music for each half-second window, with a delay of two windows.

    A network processes one stretch and keeps a memory of earlier windows. It can be pickled between calls of `push`.
    """

    def __init__(self, weights: SpeechMusicWeights) -> None:
        """Start a stretch, without memory of earlier windows."""
        self._weights = weights
        n_hidden, n_second = len(weights.b1), len(weights.b2)
        self._state = NetworkState(
            memory=np.zeros((CONTEXT_WINDOWS + len(MEAN_DECAYS), n_hidden)),
            hidden_layer=np.zeros(n_hidden),
            second_layer=np.zeros(n_second),
        )
        self._is_first = True

    def push(self, features: Floats) -> SpeechMusicLogOdds:
        """Process the features of the next window; return the log-odds of speech and music in the window two before it.

        features: float64, shape (N_STATISTICS,), as `compute_window_features` writes them.
        """
        out = np.empty(2)
        _run_network(features, self._weights, self._is_first, self._state, out)
        self._is_first = False
        return SpeechMusicLogOdds(float(out[0]), float(out[1]))
