"""Computes the fingerprint of a jingle, by which the matcher finds it in a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import FeatureExtractor
from streamseg.engine.fingerprints.rows import (
    BANDS,
    LAGS,
    LOG_MEL,
    ROW_HOP,
    ROW_WIDTH,
    FingerprintRows,
    compute_fingerprint_row,
)
from streamseg.engine.packed_arrays import pack_arrays, unpack_arrays
from streamseg.errors import UsageError
from streamseg.settings import ENGINE_RATE, FRAMES_PER_SECOND

MIN_DURATION_S: Final = 1.5
MAX_DURATION_S: Final = 8.0  # of what is compared; of a longer sound the beginning is used
_DYNAMIC_RANGE_DB: Final = 50.0  # bands further below the loudest band of the sound are ignored
_MIN_NONZERO_FRACTION: Final = 0.02
_MIN_LEVEL_DB: Final = -60.0


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A description of how the spectrum of a jingle changes over time, by which the matcher finds it in a stream.

    name: of the jingle. rows: int16 (n, ROW_WIDTH), one for every ROW_HOP frames.
    """

    name: str
    rows: FingerprintRows

    def to_bytes(self) -> bytes:
        """Encode the fingerprint as bytes, without its name; `fingerprint_from_bytes` decodes them."""
        return pack_arrays(rows=self.rows[:, : 2 * BANDS].astype(np.int8))

    @property
    def compared_duration_s(self) -> float:
        """Length of the part of the jingle that is compared with the stream, from its start, in seconds; at most 8."""
        return len(self.rows) * ROW_HOP / FRAMES_PER_SECOND


def make_fingerprint(name: str, sound: NDArray[np.float32]) -> Fingerprint:
    """Compute the fingerprint of a jingle from its samples (mono, 22,050 Hz); raise UsageError if unusable.

    sound: float32 (samples,); at most the first MAX_DURATION_S are used. Its start is the time that
    the matcher finds.
    Unusable: too short, too quiet, or too steady to be recognised.
    """
    frames = FeatureExtractor().push(sound)[: round(MAX_DURATION_S * FRAMES_PER_SECOND), LOG_MEL]
    if len(frames) < MIN_DURATION_S * FRAMES_PER_SECOND:
        raise UsageError(
            f"a sound of {len(sound) / ENGINE_RATE:.1f} s is too short to be recognised; "
            f"give at least {MIN_DURATION_S} s"
        )
    rows = np.zeros((len(frames), ROW_WIDTH), np.int16)
    for i in range(len(frames)):
        compute_fingerprint_row(frames[i], frames[[max(0, i - lag) for lag in LAGS]], rows[i])
    is_audible = frames[:, :BANDS] > frames.max() - _DYNAMIC_RANGE_DB
    for k, lag in enumerate(LAGS):
        rows[:, k * BANDS : (k + 1) * BANDS] *= is_audible
        rows[:lag, k * BANDS : (k + 1) * BANDS] = 0  # these depend on the sound before, which differs each time
    if np.count_nonzero(rows) < _MIN_NONZERO_FRACTION * rows.size or frames.max() < _MIN_LEVEL_DB:
        raise UsageError("this sound hardly changes, so it cannot be distinguished from others; choose another excerpt")
    return Fingerprint(name, np.ascontiguousarray(rows[::ROW_HOP]))


def fingerprint_from_bytes(name: str, content: bytes) -> Fingerprint:
    """Decode a fingerprint from the bytes that `Fingerprint.to_bytes` returned; `name` becomes its name.

    Raises UsageError when `content` is something else or of another version.
    """
    try:
        rows = unpack_arrays(content)["rows"]
    except (ValueError, KeyError):
        rows = np.zeros((0, 0))
    if rows.ndim != 2 or rows.shape[1] != 2 * BANDS or len(rows) == 0:
        raise UsageError(f"the jingle {name!r} was taught to another version of streamseg; teach it again")
    padded_rows = np.zeros((len(rows), ROW_WIDTH), np.int16)
    padded_rows[:, : 2 * BANDS] = rows
    return Fingerprint(name, padded_rows)
