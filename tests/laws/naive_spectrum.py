"""A frame of features the slow way: whole arrays, no state, one line a definition."""

import numpy as np

from laws.naive_pitch import chroma as tuned_chroma
from laws.naive_pitch import pitch, tuning
from laws.naive_rhythm import rhythm
from streamseg.engine.features import COLUMNS, COLUMNS_TOTAL
from streamseg.engine.features.filterbanks import (
    BIN_HZ,
    BINS,
    make_chroma_filters,
    make_contrast_bands,
    make_dct_matrix,
    make_hann_window,
    make_mel_filters,
)
from streamseg.settings import FRAME, HOP


def decibels(power):
    return 10 * np.log10(np.maximum(1e-10, power))


def matrix(rows):
    full = np.zeros((len(rows), BINS))
    for row, (first, weights) in enumerate(rows):
        full[row, first : first + len(weights)] = weights
    return full


def spectral(samples):
    """samples (n,) -> (frames, columns)."""
    x = np.clip(np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=8.0, neginf=-8.0), -8, 8)
    count = max(0, (len(x) - FRAME) // HOP + 1)
    frames = np.stack([x[i * HOP : i * HOP + FRAME] for i in range(count)]) if count else np.zeros((0, FRAME))
    magnitude = np.abs(np.fft.rfft(frames * make_hann_window(FRAME)))
    power = magnitude**2
    hz = np.arange(BINS) * BIN_HZ
    out = np.full((count, COLUMNS_TOTAL), np.nan)

    def put(name, value):
        out[:, COLUMNS[name]] = value if value.ndim == 2 else value[:, None]

    log_mel = decibels(power @ matrix(make_mel_filters(64)).T)
    put("log_mel", log_mel)
    put("mfcc", log_mel @ make_dct_matrix(64, 20))
    rise = np.maximum(0, np.diff(log_mel, axis=0, prepend=log_mel[:1])).mean(axis=1)
    put("onset", rise)
    rows, classes = make_chroma_filters()
    by_run = power @ matrix(rows).T
    chroma = np.stack([by_run[:, classes == c].sum(axis=1) for c in range(12)], axis=1)
    strongest = chroma.max(axis=1, keepdims=True)
    put("chroma", np.where(strongest > 1e-10, chroma / np.maximum(strongest, 1e-300), 0))
    extremes = []
    for first, end, taken in make_contrast_bands():
        ordered = np.sort(magnitude[:, first:end], axis=1)
        extremes.append(decibels(ordered[:, -taken:].mean(axis=1)) - decibels(ordered[:, :taken].mean(axis=1)))
    put("contrast", np.stack(extremes, axis=1))
    put("rms_db", decibels((frames**2).mean(axis=1)))
    put("zero_crossing_rate", (np.diff(frames < 0, axis=1)).sum(axis=1) / FRAME)
    total = magnitude.sum(axis=1)
    safe = np.maximum(total, 1e-300)
    centroid = magnitude @ hz / safe
    put("centroid_hz", centroid)
    put("bandwidth_hz", np.sqrt((magnitude * (hz - centroid[:, None]) ** 2).sum(axis=1) / safe))
    put("rolloff_hz", hz[np.argmax(np.cumsum(magnitude, axis=1) >= 0.85 * total[:, None], axis=1)])
    clamped = np.maximum(1e-10, power)
    put("flatness", np.exp(np.log(clamped).mean(axis=1)) / clamped.mean(axis=1))
    f0, voicing = pitch(power, out[:, COLUMNS["rms_db"]][:, 0])
    put("f0_hz", f0)
    put("voicing", voicing)
    for name, column in zip(("onset_found", "tempo_bpm", "tempo_confidence", "beat_phase"), rhythm(rise), strict=True):
        put(name, column)
    cents, tenths = tuning(magnitude)
    put("tuning_cents", cents)
    put("tuned_chroma", np.array([tuned_chroma(*frame) for frame in zip(power, tenths, strict=True)]).reshape(-1, 12))
    return out
