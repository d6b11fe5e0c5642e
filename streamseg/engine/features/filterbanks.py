"""Makes fixed weights over the bins of a spectrum: mel bands, pitch classes, contrast bands, cosine transform, window.

The definitions are librosa's (0.10: `filters.mel`, `filters.chroma`, `feature.spectral_contrast`), so that figures can
be compared; the layout is ours: a band stores only the run of bins it weighs, padded to a multiple of LANES.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.settings import ENGINE_RATE, FRAME

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Complexes = NDArray[np.complex128]
Samples = NDArray[np.float32]
Records = NDArray[np.void]  # structured: see `kernel_memory.py`

FLOOR = 1e-10  # power below this counts as this: -100 dB, librosa's `amin`
DB = 10.0 / math.log(10.0)

BINS = FRAME // 2 + 1
LANES = 8
BIN_HZ = ENGINE_RATE / FRAME

CHROMA_LOWEST_HZ, CHROMA_HIGHEST_HZ = 32.0, 5_000.0  # above, partials depend more on timbre than on harmony
CHROMA_NEGLIGIBLE = 1e-3  # of a bin's largest weight


class BandWeights(NamedTuple):
    """One band of a filter bank: the weights, float64 (n,), of n successive spectrum bins from `first_bin` on."""

    first_bin: int
    weights: Floats


class ChromaFilters(NamedTuple):
    """Filter bands for chroma, each around one note, and the pitch classes of these notes, int64 (bands,), 0 = C."""

    bands: list[BandWeights]
    pitch_classes: Ints


@dataclass(frozen=True, slots=True)
class FilterBank:
    """A filter bank as three flat arrays: each band's first bin, the index of each band's first weight, all weights.

    first: int64 (bands,), the first bin of each band.
    offset: int64 (bands + 1,), the index of each band's first weight.
    weights: float64 (offset[-1],); padding is 0, and a band never reads beyond bin BINS + LANES - 1.
    """

    first: Ints
    offset: Ints
    weights: Floats


def make_filter_bank(bands: list[BandWeights]) -> FilterBank:
    """Pack bands into one filter bank; pad the weights of each band with zeros to a multiple of 8 (LANES)."""
    weights = [np.pad(band.weights, (0, -len(band.weights) % LANES)) for band in bands]
    offset = np.concatenate(([0], np.cumsum([len(run) for run in weights])))
    first = np.array([band.first_bin for band in bands], np.int64)
    return FilterBank(first, offset.astype(np.int64), np.concatenate(weights))


def convert_mels_to_hz(mels: Floats) -> Floats:
    """Convert mels on Slaney's scale (linear to 1 kHz, logarithmic above) to Hz; same shape."""
    linear = mels * (200.0 / 3.0)
    return np.where(mels < 15.0, linear, 1000.0 * np.exp((mels - 15.0) * np.log(6.4) / 27.0))


def make_mel_filters(bands: int) -> list[BandWeights]:
    """Make `bands` triangular mel filters from 0 to 11,025 Hz, each scaled to an area of 1 over Hz (Slaney 1998)."""
    highest = 15.0 + np.log(ENGINE_RATE / 2 / 1000.0) * 27.0 / np.log(6.4)
    edges = convert_mels_to_hz(np.linspace(0.0, highest, bands + 2))
    hz = np.arange(BINS) * BIN_HZ
    rows = []
    for left, centre, right in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        triangle = np.maximum(0.0, np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre)))
        bins = np.flatnonzero(triangle)
        rows.append(BandWeights(int(bins[0]), triangle[bins[0] : bins[-1] + 1] * 2.0 / (right - left)))
    return rows


def make_chroma_filters(tuning: float = 0.0) -> ChromaFilters:
    """Make the chroma filter bands for music tuned `tuning` semitones above A = 440 Hz, and each band's pitch class.

    The power in these bands, summed for each pitch class, is the chroma.

    Ellis (2007): a Gaussian half a semitone wide (or a bin wide, if that is more) around each pitch class, each
    bin of unit length over the classes, weighted by a Gaussian two octaves wide around A4 + half an octave.
    """
    hz = np.arange(1, BINS) * BIN_HZ
    semitone = 12.0 * np.log2(hz / 27.5) - tuning
    semitone = np.concatenate(([semitone[0] - 18.0], semitone))  # bin 0 has no logarithm; it is cut off below
    width = np.append(np.maximum(np.diff(semitone), 1.0), 1.0)
    distance = (semitone[None, :] - np.arange(12)[:, None] + 6.0) % 12.0 - 6.0
    weights = np.exp(-0.5 * (2.0 * distance / width) ** 2)
    weights /= np.linalg.norm(weights, axis=0)
    weights *= np.exp(-0.5 * ((semitone / 12.0 - 5.0) / 2.0) ** 2)
    weights = np.roll(weights, -3, axis=0)  # counted from A so far
    weights[weights < CHROMA_NEGLIGIBLE * weights.max(axis=0)] = 0.0
    weights[:, : int(np.ceil(CHROMA_LOWEST_HZ / BIN_HZ))] = 0.0
    weights[:, int(CHROMA_HIGHEST_HZ / BIN_HZ) :] = 0.0
    bands, classes = [], []
    for pitch_class, row in enumerate(weights):
        bins = np.flatnonzero(row)
        for run in np.split(bins, np.flatnonzero(np.diff(bins) > 1) + 1):
            bands.append(BandWeights(int(run[0]), row[run]))
            classes.append(pitch_class)
    return ChromaFilters(bands, np.array(classes, np.int64))


def make_contrast_bands() -> Ints:
    """Make the seven bands of spectral contrast, int64 (7, 3); a row is (first bin, bin after the last, averaged bins).

    The third number is how many of the strongest, and how many of the weakest, bins are averaged (Jiang et al. 2002).

    The bands are 0 to 200 Hz and the octaves from there on. librosa's reading: 2 % of a band's bins at each extreme,
    at least one; neighbouring bands share no bin.
    """
    edges_hz = np.concatenate(([0.0], 200.0 * 2.0 ** np.arange(7)))
    hz = np.arange(BINS) * BIN_HZ
    bands = []
    for index, (low, high) in enumerate(itertools.pairwise(edges_hz)):
        bins = np.flatnonzero((hz >= low) & (hz <= high))
        first = int(bins[0]) - (index > 0)
        end = BINS if index == 6 else int(bins[-1]) + 1
        count = max(1, int(np.rint(0.02 * (end - first))))
        bands.append((first, end - (index < 6), count))
    return np.array(bands, np.int64)


def make_dct_matrix(inputs: int, outputs: int) -> Floats:
    """Make the matrix of the orthonormal DCT-II, float64 (inputs, outputs)."""
    angles = np.pi / inputs * (np.arange(inputs)[:, None] + 0.5) * np.arange(outputs)[None, :]
    matrix: Floats = np.sqrt(2.0 / inputs) * np.cos(angles)
    matrix[:, 0] *= np.sqrt(0.5)
    return matrix


def make_hann_window(length: int) -> Floats:
    """Make the periodic Hann window, float64 (length,)."""
    window: Floats = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    return window
