"""Spectral features compared with librosa's, in float64, with the same definitions."""

import librosa
import numpy as np
import soundfile

from streamseg.engine.features import COLUMNS, FeatureExtractor

RATE = 22_050
SECONDS = 60


def compute_librosa(samples):
    """Compute librosa's features, by our names, each of shape (n, frames), with `center=False`."""
    x = samples.astype(np.float64)
    magnitude = np.abs(librosa.stft(x, n_fft=2048, hop_length=512, center=False))
    power = magnitude**2
    feature = librosa.feature
    log_mel = librosa.power_to_db(feature.melspectrogram(S=power, sr=RATE, n_mels=64), top_db=None, amin=1e-10)
    return {
        "log_mel": log_mel,
        "mfcc": feature.mfcc(S=log_mel, n_mfcc=20),
        "centroid_hz": feature.spectral_centroid(S=magnitude, sr=RATE),
        "bandwidth_hz": feature.spectral_bandwidth(S=magnitude, sr=RATE),
        "rolloff_hz": feature.spectral_rolloff(S=magnitude, sr=RATE),
        "flatness": feature.spectral_flatness(S=magnitude),
        "onset": librosa.onset.onset_strength(S=log_mel, sr=RATE, center=False)[None],
        "contrast": feature.spectral_contrast(S=magnitude, sr=RATE),
        "chroma": np.nan_to_num(feature.chroma_stft(S=power, sr=RATE, tuning=0.0)),
    }


def worst_error(ours, theirs):
    """Return the largest error of a frame relative to its norm; ours: (frames, n), theirs: (n, frames)."""
    error = np.linalg.norm(ours - theirs.T, axis=1)
    return (error / np.maximum(1e-12, np.linalg.norm(theirs.T, axis=1))).max()


def rows(folder):
    """Measure a minute from the middle of the first two files of each set."""
    worst, alike = {}, {"chroma": ([], []), "contrast": ([], [])}
    for path in [
        path for part in ("pop909", "mixes", "broadcast") for path in sorted((folder / part).glob("*.ogg"))[:2]
    ]:
        start = int(soundfile.info(path).duration / 2) * RATE
        samples = soundfile.read(path, frames=SECONDS * RATE, start=start, dtype="float32", always_2d=True)[0].mean(
            axis=1
        )
        ours, theirs = FeatureExtractor().push(samples), compute_librosa(samples)
        for name, value in theirs.items():
            mine = ours[:, COLUMNS[name]]
            if name in alike:
                alike[name][0].append(mine.ravel())
                alike[name][1].append(value.T.ravel())
            else:
                worst[name] = max(worst.get(name, 0.0), worst_error(mine, value))
    for name, error in worst.items():
        yield f"{name}: worst error of a frame, share of its norm, librosa", f"{error:.1e}"
    for name, both in alike.items():
        yield f"{name}: correlation with librosa's", f"{np.corrcoef(*map(np.concatenate, both))[0, 1]:.4f}"
