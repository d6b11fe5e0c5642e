"""Measures the energy of a channel after the two filters of K-weighting (ITU-R BS.1770-5, annex 1)."""

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

FILTER_MEMORY: Final = 4  # numbers in the memory of both filters
LANES: Final = 16  # parts of 100 ms that are filtered side by side
SUM_OFFSET: Final = FILTER_MEMORY * LANES  # index of the sums, after the memories


class KWeighting(NamedTuple):
    """The two K-weighting filters at one sample rate, and the matrices to filter parts of N samples in parallel."""

    filters: Floats  # float64 (2, 5) rows b0 b1 b2 a1 a2
    memory_response: Floats  # float64 (N, FILTER_MEMORY) effect of each sample on the memory at the end of the part
    memory_transition: Floats  # float64 (FILTER_MEMORY, FILTER_MEMORY) from the memory at the start to that at the end


def compute_k_weighting_coefficients(sample_rate: int) -> Floats:
    """Return the coefficients b0 b1 b2 a1 a2 of both K-weighting filters at a sample rate (Hz), float64 (2, 5).

    The standard gives them for 48 kHz only; these are the analogue filters they come from (as in libebur128 and
    pyloudnorm), by the bilinear transform.
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
    if not tangent:  # below 3.7 kHz the shelf has no effect
        shelf = [1.0, 0.0, 0.0, 0.0, 0.0]
    tangent = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    scale = 1.0 + tangent / q + tangent * tangent
    low_cut = [1.0, -2.0, 1.0, 2.0 * (tangent * tangent - 1.0) / scale, (1.0 - tangent / q + tangent * tangent) / scale]
    return np.array([shelf, low_cut])


@lru_cache(maxsize=8)
def design_k_weighting(sample_rate: int, part_samples: int) -> KWeighting:
    """Design the K-weighting filters at a sample rate (Hz), to filter parts of `part_samples` samples in parallel."""
    filters = compute_k_weighting_coefficients(sample_rate)
    (f0, f1, f2, f3, f4), (_, _, _, g3, g4) = filters
    # The memory after a sample, from the memory before it and from the sample: `add_weighted_square` as matrices.
    transition = np.array(
        [[-f3, 1, 0, 0], [-f4, 0, 0, 0], [-2 - g3, 0, -g3, 1], [1 - g4, 0, -g4, 0]],
    )
    entry = np.array([f1 - f3 * f0, f2 - f4 * f0, -(2 + g3) * f0, (1 - g4) * f0])
    response = np.empty((part_samples, FILTER_MEMORY))
    for i in reversed(range(part_samples)):
        response[i] = entry
        entry = transition @ entry
    return KWeighting(filters, response, np.linalg.matrix_power(transition, part_samples))


def make_channel_weights(channels: int) -> Floats:
    """Make the BS.1770 weight of each channel, float64 (channels,): surround 1.41, low-frequency 0, others 1."""
    if channels == 6:
        return np.array([1.0, 1.0, 1.0, 0.0, 1.41, 1.41])
    if channels == 5:
        return np.array([1.0, 1.0, 1.0, 1.41, 1.41])
    return np.ones(channels)


@subkernel
def add_weighted_square(x: float, coefficients: tuple[float, ...], lanes: Floats, lane: int) -> None:
    """Filter sample x by K-weighting; add the result's square to the sum of one lane; update the lane's filter memory.

    A lane is one of the 16 parts of the signal that are filtered in parallel.

    coefficients: b0 b1 b2 a1 a2 of the first filter, a1 a2 of the second. lanes: see `measure_weighted_energy`;
    the memory is that of transposed direct form II.
    """
    y = coefficients[0] * x + lanes[u(lane)]
    lanes[u(lane)] = (coefficients[1] * x + lanes[u(LANES + lane)]) - coefficients[3] * y
    lanes[u(LANES + lane)] = coefficients[2] * x - coefficients[4] * y
    z = y + lanes[u(2 * LANES + lane)]
    lanes[u(2 * LANES + lane)] = (lanes[u(3 * LANES + lane)] - (y + y)) - coefficients[5] * z
    lanes[u(3 * LANES + lane)] = y - coefficients[6] * z
    lanes[u(SUM_OFFSET + lane)] += z * z


@subkernel
def initialise_lanes(lane_samples: Floats32, k: KWeighting, memory: Floats, lanes: Floats) -> None:
    """Write to `lanes` the filter memory at the start of each of 16 parts of a signal; advance `memory` to the end.

    lane_samples: float32, sample i of each lane from index i * LANES on. memory: float64 (FILTER_MEMORY,), with which
    the first lane begins.
    """
    lanes[:] = 0.0
    for i in range(k.memory_response.shape[0]):
        response = k.memory_response[i]
        r0, r1, r2, r3 = response[0], response[1], response[2], response[3]
        for lane in range(LANES):
            x = float(lane_samples[u(i * LANES + lane)])
            lanes[u(lane)] += r0 * x
            lanes[u(LANES + lane)] += r1 * x
            lanes[u(2 * LANES + lane)] += r2 * x
            lanes[u(3 * LANES + lane)] += r3 * x
    for lane in range(LANES):
        m0, m1, m2, m3 = memory[0], memory[1], memory[2], memory[3]
        for row in range(FILTER_MEMORY):
            contribution = (k.memory_transition[row, 0] * m0 + k.memory_transition[row, 1] * m1) + (
                k.memory_transition[row, 2] * m2 + k.memory_transition[row, 3] * m3
            )
            memory[row] = contribution + lanes[row * LANES + lane]
        lanes[lane], lanes[LANES + lane], lanes[2 * LANES + lane], lanes[3 * LANES + lane] = m0, m1, m2, m3


@subkernel
def measure_weighted_energy(x: Floats32, k: KWeighting, memory: Floats, lanes: Floats, lane_samples: Floats32) -> float:
    """Return the sum of squares of one channel's samples x after K-weighting; update `memory`, the filters' state.

    x: float32 (n,). memory: float64 (FILTER_MEMORY,). lanes: float64 ((FILTER_MEMORY + 1) * LANES,), scratch.
    lane_samples: float32 (n,), scratch.

    A filter depends on its own last output, so the samples are cut into LANES parts that are filtered side by side.
    The memory with which each begins can be computed beforehand, since the filters are linear: the transition of the
    memory before it, plus the responses to the samples since. The last part includes the samples that remain.
    """
    size = k.memory_response.shape[0]
    for i in range(size):
        for lane in range(LANES):
            lane_samples[u(i * LANES + lane)] = x[u(lane * size + i)]
    initialise_lanes(lane_samples, k, memory, lanes)
    f = k.filters
    coefficients = (f[0, 0], f[0, 1], f[0, 2], f[0, 3], f[0, 4], f[1, 3], f[1, 4])
    for i in range(size):
        for lane in range(LANES):
            add_weighted_square(float(lane_samples[u(i * LANES + lane)]), coefficients, lanes, lane)
    for i in range(LANES * size, x.size):
        add_weighted_square(float(x[i]), coefficients, lanes, LANES - 1)
    for row in range(FILTER_MEMORY):
        memory[row] = lanes[row * LANES + LANES - 1]
    total = 0.0
    for lane in range(LANES):
        total += lanes[SUM_OFFSET + lane]
    return total
