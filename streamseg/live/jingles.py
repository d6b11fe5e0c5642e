"""Stores the fingerprint of a jingle from a recording in the name store, so that later streams recognise it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from streamseg.blocks import Samples
from streamseg.engine.features.mono import resample_to_mono
from streamseg.engine.fingerprints.fingerprint import MAX_DURATION_S, Fingerprint, make_fingerprint
from streamseg.engine.named_sounds import NamedSound
from streamseg.errors import TruncatedSourceError, UsageError
from streamseg.live.name_store import NameStore
from streamseg.settings import ENGINE_RATE, FRAME
from streamseg.sources import AudioFileSource
from streamseg.wire.label_names import check_and_normalise_name


def teach_jingle(
    store: NameStore, name: str, file: Path | str, start_s: float = 0.0, end_s: float | None = None
) -> Fingerprint:
    """Compute and store the fingerprint of a short sound in a file; streams that start later recognise it by `name`.

    file: a recording that contains the sound. start_s, end_s: where the sound lies in the file, seconds; `end_s=None`
    is the end of the file. At least 1.5 s are needed; only the first 8 s are used. Returns the stored fingerprint.

    Raises UsageError for a name that is not allowed, times that are not in the file, or a sound that is too short or
    too uniform; what `AudioFileSource` raises for the file, TruncatedSourceError only if the cut is before the end of
    what is needed; HistoryError when the store cannot be written.
    """
    name = check_and_normalise_name(name)
    if end_s is not None and end_s < start_s:
        raise UsageError(f"--to is before --from: the sound would go from {start_s:g} to {end_s:g} s; exchange them")
    fingerprint = make_fingerprint(name, _read_excerpt(Path(file), start_s, end_s))
    store.add_entry(NamedSound(name=name, kind="cue", content=fingerprint.to_bytes()))
    return fingerprint


def _read_excerpt(file: Path, start_s: float, end_s: float | None) -> Samples:
    """The samples between two times of a file, but no more than a fingerprint needs: mono, 22,050 Hz, shape (n,)."""
    stop_s = min(math.inf if end_s is None else end_s, start_s + MAX_DURATION_S + FRAME / ENGINE_RATE)
    source = AudioFileSource(file)
    parts = [np.zeros(0, np.float32)]
    cut: TruncatedSourceError | None = None
    try:
        for samples in resample_to_mono(source):
            parts.append(samples)
            if sum(map(len, parts)) > stop_s * ENGINE_RATE:
                break
    except TruncatedSourceError as error:
        cut = error
    sound = np.concatenate(parts)
    duration_s = len(sound) / ENGINE_RATE
    clock = "{:.0f}:{:04.1f}".format(*divmod(round(duration_s, 1), 60))
    if cut is not None:
        if not len(sound):
            raise TruncatedSourceError(f"nothing was taught: {cut}")
        raise TruncatedSourceError(
            f"nothing was taught: {source.name} is cut off at {clock}, before the end of the part to teach; "
            f"give --from and --to below {duration_s:.1f} s, or a file that is complete"
        )
    if start_s >= duration_s:
        raise UsageError(
            f"--from is after the end of the sound ({clock}): {start_s:g} s; give a time below {duration_s:.1f} s"
        )
    return sound[round(start_s * ENGINE_RATE) : round(stop_s * ENGINE_RATE)]
