"""K-weighting of ITU-R BS.1770-5, annex 1: the energy of a channel behind its two filters."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that
from numpy.typing import NDArray

from streamseg.engine.kernels import subkernel

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

FILTER_MEMORY: Final = 4  # numbers that both filters remember of what was before
LANES: Final = 16  # stretches of a tenth of a second that are filtered side by side
SUM_OFFSET: Final = FILTER_MEMORY * LANES  # where the sums lie behind the memories


class KWeighting(NamedTuple):
    """The filters at one rate.

    filters: (2, 5), rows b0 b1 b2 a1 a2. left: (samples of a stretch, MEMORY), what each sample leaves in the memory at
    the stretch's end. kept: (MEMORY, MEMORY), what becomes of a memory over a stretch.
    """

    filters: Floats
    memory_response: Floats
    memory_transition: Floats


def k_weighting_coefficients(sample_rate: int) -> Floats:
    """The two filters of BS.1770 for any rate: rows b0 b1 b2 a1 a2.

    The standard prints them for 48 kHz only; these are the analogue filters behind them (as in libebur128 and
    pyloudnorm), through the bilinear transform.
    """
    tangent = math.tan(math.pi * 1681.974450955533 / sample_rate) if sample_rate > 3_700 else 0.0
    q, high = 0.7071752369554196, 10.0 ** (3.999843853973347 / 20.0)
    band = high**0.4996667741545416
    scale = 1.0 + tangent / q + tangent * tangent
    shelf = [
        (high + band * tangent / q + tangent * tangent) / scale,
        2.0 * (tangent * tangent - high) / scale,
        (high - band * tangent / q + tangent * tangent) / scale,
        2.0 * (tangent * tangent - 1.0) / scale,
        (1.0 - tangent / q + tangent * tangent) / scale,
    ]
    if not tangent:  # below 3.7 kHz there is nothing for the shelf to lift
        shelf = [1.0, 0.0, 0.0, 0.0, 0.0]
    tangent = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    scale = 1.0 + tangent / q + tangent * tangent
    low_cut = [1.0, -2.0, 1.0, 2.0 * (tangent * tangent - 1.0) / scale, (1.0 - tangent / q + tangent * tangent) / scale]
    return np.array([shelf, low_cut])


@lru_cache(maxsize=8)
def k_weighting_for(sample_rate: int, samples: int) -> KWeighting:
    """The filters, for stretches of so many samples."""
    filters = k_weighting_coefficients(sample_rate)
    (f0, f1, f2, f3, f4), (_, _, _, g3, g4) = filters
    # The memory after a sample, from that before it and from the sample: `filtered`, written as matrices.
    turn = np.array(
        [[-f3, 1, 0, 0], [-f4, 0, 0, 0], [-2 - g3, 0, -g3, 1], [1 - g4, 0, -g4, 0]],
    )
    entry = np.array([f1 - f3 * f0, f2 - f4 * f0, -(2 + g3) * f0, (1 - g4) * f0])
    left = np.empty((samples, FILTER_MEMORY))
    for i in reversed(range(samples)):
        left[i] = entry
        entry = turn @ entry
    return KWeighting(filters, left, np.linalg.matrix_power(turn, samples))


def channel_weights(channels: int) -> Floats:
    """BS.1770's weights: surrounds +1.5 dB, the low-frequency channel none."""
    if channels == 6:
        return np.array([1.0, 1.0, 1.0, 0.0, 1.41, 1.41])
    if channels == 5:
        return np.array([1.0, 1.0, 1.0, 1.41, 1.41])
    return np.ones(channels)


@subkernel
def filter_sample(x: float, f: tuple[float, ...], lanes: Floats, lane: int) -> None:
    """Take a sample through both filters (transposed direct form II) of a lane, and add its square."""
    y = f[0] * x + lanes[u(lane)]
    lanes[u(lane)] = (f[1] * x + lanes[u(LANES + lane)]) - f[3] * y
    lanes[u(LANES + lane)] = f[2] * x - f[4] * y
    z = y + lanes[u(2 * LANES + lane)]
    lanes[u(2 * LANES + lane)] = (lanes[u(3 * LANES + lane)] - (y + y)) - f[5] * z
    lanes[u(3 * LANES + lane)] = y - f[6] * z
    lanes[u(SUM_OFFSET + lane)] += z * z


@subkernel
def initialise_lanes(across: Floats32, k: KWeighting, memory: Floats, lanes: Floats) -> None:
    """The memory with which each stretch begins, from that of the first."""
    lanes[:] = 0.0
    for i in range(k.memory_response.shape[0]):
        left0, left1, left2, left3 = (
            k.memory_response[i, 0],
            k.memory_response[i, 1],
            k.memory_response[i, 2],
            k.memory_response[i, 3],
        )
        for lane in range(LANES):
            x = float(across[u(i * LANES + lane)])
            lanes[u(lane)] += left0 * x
            lanes[u(LANES + lane)] += left1 * x
            lanes[u(2 * LANES + lane)] += left2 * x
            lanes[u(3 * LANES + lane)] += left3 * x
    for lane in range(LANES):
        m0, m1, m2, m3 = memory[0], memory[1], memory[2], memory[3]
        for row in range(FILTER_MEMORY):
            kept = (k.memory_transition[row, 0] * m0 + k.memory_transition[row, 1] * m1) + (
                k.memory_transition[row, 2] * m2 + k.memory_transition[row, 3] * m3
            )
            memory[row] = kept + lanes[row * LANES + lane]
        lanes[lane], lanes[LANES + lane], lanes[2 * LANES + lane], lanes[3 * LANES + lane] = m0, m1, m2, m3


@subkernel
def weighted_energy(x: Floats32, k: KWeighting, memory: Floats, lanes: Floats, across: Floats32) -> float:
    """The sum of squares of a channel's samples behind both filters, whose memory moves on.

    A filter waits for its own last output, so the samples are cut into LANES stretches that are filtered side by
    side. In what state each begins is known beforehand, since filters are linear: what has become of the state before
    it, and what the samples since have left. The last stretch takes the odd samples too.
    lanes: scratch, MEMORY + 1 numbers a lane. across: scratch for as many samples.
    """
    size = k.memory_response.shape[0]
    for i in range(size):
        for lane in range(LANES):
            across[u(i * LANES + lane)] = x[u(lane * size + i)]
    initialise_lanes(across, k, memory, lanes)
    f = k.filters
    steps = (f[0, 0], f[0, 1], f[0, 2], f[0, 3], f[0, 4], f[1, 3], f[1, 4])
    for i in range(size):
        for lane in range(LANES):
            filter_sample(float(across[u(i * LANES + lane)]), steps, lanes, lane)
    for i in range(LANES * size, x.size):
        filter_sample(float(x[i]), steps, lanes, LANES - 1)
    for row in range(FILTER_MEMORY):
        memory[row] = lanes[row * LANES + LANES - 1]
    total = 0.0
    for lane in range(LANES):
        total += lanes[SUM_OFFSET + lane]
    return total
