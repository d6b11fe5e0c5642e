"""The network that hears speech and music in described blocks: two hidden layers, with a memory of what was.

The first layer sees a block. The second sees the first layer's answer to the last CONTEXT blocks, and two running
means of it, over some 4 and 20 s: talk over music is told by music that was there before and never left.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel
from streamseg.engine.models.sound_class import SpeechMusicWeights

Floats = NDArray[np.float64]

CONTEXT_WINDOWS: Final = 8  # blocks
DECISION_LAG: Final = 2  # blocks: which of them, from the last one back, is judged
MEAN_DECAYS: Final = (0.88, 0.975)  # of the running means, a block
_CLIP: Final = 4.0  # standard deviations


@kernel
def _run_network(
    stats: Floats,
    mean: Floats,
    std: Floats,
    w1: Floats,
    b1: Floats,
    w2: Floats,
    b2: Floats,
    w3: Floats,
    b3: Floats,
    memory: Floats,
    is_warm: bool,
    hidden_layer: Floats,
    second_layer: Floats,
    out: Floats,
) -> None:
    """Take a block; write the log-odds of the one LAG blocks ago. seen, second: scratch, as b1 and b2."""
    hidden, wide = b1.size, b2.size
    for h in range(hidden):
        hidden_layer[h] = b1[h]
    for i in range(stats.size):
        z = (stats[i] - mean[i]) / std[i]
        z = min(max(z, -_CLIP), _CLIP)
        for h in range(hidden):
            hidden_layer[h] += z * w1[i, h]
    for h in range(hidden):
        hidden_layer[h] = max(0.0, hidden_layer[h])
        for row in range(CONTEXT_WINDOWS - 1):
            # Before the first block it was as in the first.
            memory[row, h] = memory[row + 1, h] if is_warm else hidden_layer[h]
        memory[CONTEXT_WINDOWS - 1, h] = hidden_layer[h]
        for i in range(len(MEAN_DECAYS)):
            last = memory[CONTEXT_WINDOWS + i, h]
            memory[CONTEXT_WINDOWS + i, h] = (
                MEAN_DECAYS[i] * last + (1.0 - MEAN_DECAYS[i]) * hidden_layer[h] if is_warm else hidden_layer[h]
            )
    for k in range(wide):
        second_layer[k] = b2[k]
    for row in range(CONTEXT_WINDOWS + len(MEAN_DECAYS)):
        for h in range(hidden):
            x = memory[row, h]
            if x != 0.0:
                for k in range(wide):
                    second_layer[k] += x * w2[row * hidden + h, k]
    for c in range(2):
        out[c] = b3[c]
        for k in range(wide):
            out[c] += max(0.0, second_layer[k]) * w3[k, c]


class SpeechMusicNetwork:
    """A network at work on one stretch of sound. Pickles between blocks."""

    def __init__(self, network: SpeechMusicWeights) -> None:
        self._network = network
        self._memory = np.zeros((CONTEXT_WINDOWS + len(MEAN_DECAYS), len(network.b1)))
        self._is_warm = False

    def push(self, stats: Floats) -> tuple[float, float]:
        """Take a described block; the log-odds of speech and of music LAG blocks ago."""
        out = np.empty(2)
        b1, b2 = self._network.b1, self._network.b2
        _run_network(stats, *self._network, self._memory, self._is_warm, np.empty(b1.shape), np.empty(b2.shape), out)
        self._is_warm = True
        return float(out[0]), float(out[1])
