"""Extracts the features of each frame of a sound, as arrays.

::

    from streamseg import extract_features

    features = extract_features("song.flac")     # or extract_features(samples, sample_rate=48_000)
    features["mfcc"].shape                       # (frames, 20)
    features.time_s                              # the middle of each frame, seconds; shape (frames,)

Frame i covers the samples 512·i to 512·i + 2,047 of the sound at 22,050 Hz mono: librosa's `center=False`, with the
times `librosa.frames_to_time(i, sr=22050, hop_length=512, n_fft=2048)`. Every feature is described in
`docs/features.md`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamseg.blocks import Block, Gap, SourceItem
from streamseg.engine.features import COLUMNS as FRAME_COLUMNS
from streamseg.engine.features import COLUMNS_TOTAL as FRAME_WIDTH
from streamseg.engine.features import UNITS as FRAME_UNITS
from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.loudness.meter import MOMENTARY, ROWS_PER_SECOND, SHORT_TERM, TRUE_PEAK, LoudnessMeter
from streamseg.engine.features.resampling import Resampler
from streamseg.errors import UsageError
from streamseg.settings import ENGINE_RATE, FRAME, HOP
from streamseg.sources import AudioFileSource

Floats = NDArray[np.float64]

_LOUDNESS: Final = {"momentary_lufs": "LUFS", "short_term_lufs": "LUFS", "true_peak_db": "dB of full scale (dBTP)"}
_LOUDNESS_COLUMNS: Final = (MOMENTARY, SHORT_TERM, TRUE_PEAK)
_FLOOR_LUFS: Final = -100.7  # of silence, and until there is enough sound for a value
_FLOOR_DB: Final = -100.0
_BLOCK_SAMPLES: Final = 65_536

UNITS: Final[dict[str, str]] = FRAME_UNITS | _LOUDNESS
COLUMNS: Final[dict[str, slice]] = FRAME_COLUMNS | {
    name: slice(FRAME_WIDTH + i, FRAME_WIDTH + i + 1) for i, name in enumerate(_LOUDNESS)
}
COLUMNS_TOTAL: Final = FRAME_WIDTH + len(_LOUDNESS)


class FeatureArrays(Mapping[str, Floats]):
    """All features of a sound: a mapping from the name of a feature to its array, one row per frame.

    The arrays are float64 of shape (frames, n), or (frames,) for a feature of one number.

    time_s: the middle of each frame, seconds from the start; shape (frames,).
    units: the unit of each feature, by name.
    """

    units = UNITS

    def __init__(self, time_s: Floats, rows: Floats) -> None:
        """rows: all features of each frame side by side, as `COLUMNS` places them; shape (frames, COLUMNS_TOTAL)."""
        self.time_s = time_s
        self._rows = rows

    def __getitem__(self, name: str) -> Floats:
        if name not in COLUMNS:
            raise KeyError(f"no feature {name!r}; there are {', '.join(COLUMNS)}")
        columns = COLUMNS[name]
        return self._rows[:, columns] if columns.stop - columns.start > 1 else self._rows[:, columns.start]

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)

    def __repr__(self) -> str:
        return f"<features of {len(self.time_s)} frames: {', '.join(COLUMNS)}>"


def extract_features(sound: str | os.PathLike[str] | ArrayLike, sample_rate: int | None = None) -> FeatureArrays:
    """Compute all features of a sound file, or of samples, frame by frame; return {feature name: array}.

    sound: the path of a file; or samples, shape (n,) or (n, channels), float, full scale ±1.
    sample_rate: of the samples, Hz; None for a file.

    Raises UsageError for samples without a rate or of another shape, and what `AudioFileSource` raises for a file.
    """
    if isinstance(sound, str | os.PathLike):
        if sample_rate is not None:
            raise UsageError(f"sample_rate={sample_rate} for a file, which has its own; leave it out")
        items: Iterable[SourceItem] = AudioFileSource(Path(sound))
    else:
        items = _split_into_blocks(sound, sample_rate)
    parts = list(iterate_feature_frames(items))
    return FeatureArrays(
        np.concatenate([np.zeros(0), *(part.time_s for part in parts)]),
        np.concatenate([np.zeros((0, COLUMNS_TOTAL)), *(part.rows for part in parts)]),
    )


class FeatureFrames(NamedTuple):
    """The features of consecutive frames, with the time of each frame.

    time_s: the middle of each frame, seconds from the start; shape (frames,).
    rows: all features of each frame, as `COLUMNS` places them; shape (frames, COLUMNS_TOTAL).
    """

    time_s: Floats
    rows: Floats


def iterate_feature_frames(items: Iterable[SourceItem]) -> Iterator[FeatureFrames]:
    """Yield, for each block in `items`, the features of the frames that end in that block; the arrays may have 0 rows.

    After a gap the extraction starts anew. An error that `items` raises is raised again after the frames before it.
    """
    stretch: _GaplessStretch | None = None
    n_samples, rate = 0, 0  # at the rate of the source, missing samples included
    try:
        for item in items:
            if isinstance(item, Gap):
                if stretch is not None:
                    yield stretch.finish()
                stretch = None
                n_samples += item.missing_samples
            elif isinstance(item, Block):
                rate = rate or item.sample_rate
                if stretch is None:
                    stretch = _GaplessStretch(rate, item.samples.shape[1], n_samples / rate)
                n_samples += len(item.samples)
                yield stretch.push(item.samples)
    except Exception:
        if stretch is not None:
            yield stretch.finish()
        raise
    if stretch is not None:
        yield stretch.finish()


def _split_into_blocks(samples: ArrayLike, sample_rate: int | None) -> Iterator[Block]:
    if sample_rate is None:
        raise UsageError("samples need their rate; pass sample_rate=…")
    block = np.asarray(samples, dtype=np.float32)
    if block.ndim == 1:
        block = block[:, None]
    if block.ndim != 2 or block.shape[1] == 0:
        raise UsageError(f"samples of shape {np.shape(samples)}; give (n,) or (n, channels)")
    for start in range(0, len(block), _BLOCK_SAMPLES):
        yield Block(block[start : start + _BLOCK_SAMPLES], sample_rate)


class _GaplessStretch:
    """Extracts the features of sound without a gap: frames at ENGINE_RATE, loudness at the rate of the source."""

    def __init__(self, sample_rate: int, channels: int, start_s: float) -> None:
        self._start_s = start_s
        self._resampler, self._features = Resampler(sample_rate), FeatureExtractor()
        self._loudness = LoudnessMeter(sample_rate, channels)
        self._frames = 0
        # Rows of the loudness meter that frames still need, from number `_first_row` on; number -1 is silence.
        self._loudness_rows = np.array([[_FLOOR_LUFS, _FLOOR_LUFS, _FLOOR_DB]])
        self._first_row = -1

    def push(self, samples: NDArray[np.float32]) -> FeatureFrames:
        rows = self._loudness.push(samples)[:, _LOUDNESS_COLUMNS]
        rows[:, 2] = 20.0 * np.log10(np.maximum(10.0 ** (_FLOOR_DB / 20.0), rows[:, 2]))
        self._loudness_rows = np.concatenate([self._loudness_rows, np.nan_to_num(rows, nan=_FLOOR_LUFS)])
        return self._append_loudness(self._features.push(self._resampler.push(samples)))

    def finish(self) -> FeatureFrames:
        return self._append_loudness(self._features.push(self._resampler.flush()))

    def _append_loudness(self, frames: Floats) -> FeatureFrames:
        """Append to each frame the newest loudness row that ended before the frame did, and add the times."""
        start = (self._frames + np.arange(len(frames))) * HOP
        self._frames += len(frames)
        newest = ((start + FRAME) * ROWS_PER_SECOND) // ENGINE_RATE - 1 - self._first_row
        newest = np.minimum(newest, len(self._loudness_rows) - 1)  # the resampler pads the last frame with silence
        rows = np.concatenate([frames, self._loudness_rows[newest]], axis=1)
        if len(newest):
            self._loudness_rows = self._loudness_rows[newest[-1] :]
            self._first_row += int(newest[-1])
        return FeatureFrames(self._start_s + (start + FRAME / 2) / ENGINE_RATE, rows)
