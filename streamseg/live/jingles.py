"""Stores the fingerprint of a jingle from a recording in the name store, so that later streams recognise it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from streamseg.blocks import Samples
from streamseg.engine.features.mono import resample_to_mono
from streamseg.engine.fingerprints.fingerprint import MAX_DURATION_S, Fingerprint, make_fingerprint
from streamseg.engine.named_sounds import NamedSound
from streamseg.live.name_store import NameStore
from streamseg.settings import ENGINE_RATE, FRAME
from streamseg.sources import AudioFileSource
from streamseg.wire.label_names import normalise_name


def teach_jingle(
    store: NameStore, name: str, file: Path | str, start_s: float = 0.0, end_s: float | None = None
) -> Fingerprint:
    """Store the fingerprint of a short sound from a file under a name; streams that start later recognise it.

    file: a recording that contains the sound. start_s, end_s: where the sound lies in the file, seconds; `end_s=None`
    is the end of the file. At least 1.5 s are needed; only the first 8 s are used. Returns the stored fingerprint.

    Raises UsageError for a name that is not allowed or a sound that is too short or too uniform, what
    `AudioFileSource` raises for the file, and HistoryError when the store cannot be written.
    """
    name = normalise_name(name)
    fingerprint = make_fingerprint(name, _read_excerpt(Path(file), start_s, end_s))
    store.add_entry(NamedSound(name=name, kind="cue", content=fingerprint.to_bytes()))
    return fingerprint


def _read_excerpt(file: Path, start_s: float, end_s: float | None) -> Samples:
    """The samples between two times of a file, but no more than a fingerprint needs: mono, 22,050 Hz, shape (n,)."""
    stop_s = min(math.inf if end_s is None else end_s, start_s + MAX_DURATION_S + FRAME / ENGINE_RATE)
    parts = [np.zeros(0, np.float32)]
    for samples in resample_to_mono(AudioFileSource(file)):
        parts.append(samples)
        if sum(map(len, parts)) > stop_s * ENGINE_RATE:
            break
    return np.concatenate(parts)[round(start_s * ENGINE_RATE) : round(stop_s * ENGINE_RATE)]
