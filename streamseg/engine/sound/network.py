"""The network that hears speech and music in described blocks: two hidden layers, with a memory of what was.

The first layer sees a block. The second sees the first layer's answer to the last CONTEXT blocks, and two running
means of it, over some 4 and 20 s: talk over music is told by music that was there before and never left.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernel import kernel
from streamseg.engine.models.sound import Network

Floats = NDArray[np.float64]

CONTEXT: Final = 8  # blocks
LAG: Final = 2  # blocks: which of them, from the last one back, is judged
FADING: Final = (0.88, 0.975)  # of the running means, a block
_CLIP: Final = 4.0  # standard deviations


@kernel
def _listen(
    stats: Floats,
    mean: Floats,
    deviation: Floats,
    w1: Floats,
    b1: Floats,
    w2: Floats,
    b2: Floats,
    w3: Floats,
    b3: Floats,
    memory: Floats,
    started: bool,
    seen: Floats,
    second: Floats,
    out: Floats,
) -> None:
    """Take a block; write the log-odds of the one LAG blocks ago. seen, second: scratch, as b1 and b2."""
    hidden, wide = b1.size, b2.size
    for h in range(hidden):
        seen[h] = b1[h]
    for i in range(stats.size):
        z = (stats[i] - mean[i]) / deviation[i]
        z = min(max(z, -_CLIP), _CLIP)
        for h in range(hidden):
            seen[h] += z * w1[i, h]
    for h in range(hidden):
        seen[h] = max(0.0, seen[h])
        for row in range(CONTEXT - 1):
            # Before the first block it was as in the first.
            memory[row, h] = memory[row + 1, h] if started else seen[h]
        memory[CONTEXT - 1, h] = seen[h]
        for i in range(len(FADING)):
            last = memory[CONTEXT + i, h]
            memory[CONTEXT + i, h] = FADING[i] * last + (1.0 - FADING[i]) * seen[h] if started else seen[h]
    for k in range(wide):
        second[k] = b2[k]
    for row in range(CONTEXT + len(FADING)):
        for h in range(hidden):
            x = memory[row, h]
            if x != 0.0:
                for k in range(wide):
                    second[k] += x * w2[row * hidden + h, k]
    for c in range(2):
        out[c] = b3[c]
        for k in range(wide):
            out[c] += max(0.0, second[k]) * w3[k, c]


class Listener:
    """A network at work on one stretch of sound. Pickles between blocks."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._memory = np.zeros((CONTEXT + len(FADING), len(network.b1)))
        self._started = False

    def push(self, stats: Floats) -> tuple[float, float]:
        """Take a described block; the log-odds of speech and of music LAG blocks ago."""
        out = np.empty(2)
        b1, b2 = self._network.b1, self._network.b2
        _listen(stats, *self._network, self._memory, self._started, np.empty(b1.shape), np.empty(b2.shape), out)
        self._started = True
        return float(out[0]), float(out[1])
