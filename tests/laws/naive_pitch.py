"""Pitch and tuning the slow way: whole spectra, one definition after the other."""

import numpy as np

from streamseg.engine.features.filterbanks import BIN_HZ, BINS, make_chroma_filters, make_hann_window

LAG_HZ = 11_025.0  # half the engine's rate: only the lower half of the spectrum is transformed back
FRAMES_PER_SECOND = 22_050 / 512


def autocorrelations(power):
    """(frames, bins) -> (frames, 187): of the bins from 2 to 299, over that of the Hann window, 1 lag = 1 / LAG_HZ."""
    lower = np.where((np.arange(513) >= 2) & (np.arange(513) < 300), power[:, :513], 0.0)
    window = np.fft.irfft(np.abs(np.fft.rfft(make_hann_window(2048))) ** 2)[::2]
    return np.fft.irfft(lower, axis=1)[:, :187] * (window[0] / window)[:187]


def best_peak(correlation):
    """Return lag and height of the best peak between 60 and 1,000 Hz; each octave down costs .04 of the power."""
    best = (-np.inf, 0.0, 0.0)
    for lag in range(11, 185):
        left, middle, right = correlation[lag - 1 : lag + 2]
        if middle >= left and middle > right:
            a, b, c = np.polyfit([-1, 0, 1], [left, middle, right], 2)
            aside = -b / (2 * a)
            height = a * aside**2 + b * aside + c
            best = max(best, (height - 0.04 * np.log2(lag / 11) * correlation[0], lag + aside, height))
    return best[1:]


def pitch(power, rms_db):
    """(frames, bins), (frames,) -> f0 in Hz, voicing."""
    f0, voicing = np.zeros(len(power)), np.zeros(len(power))
    for frame, correlation in enumerate(autocorrelations(power)):
        if correlation[0] < 1e-5:
            continue
        lag, height = best_peak(correlation)
        voicing[frame] = np.clip(height / correlation[0], 0, 1)
        ages = np.arange(frame, -1, -1)
        loudest = (rms_db[: frame + 1] - ages * 0.5 / FRAMES_PER_SECOND).max()
        if height >= 0.45 * correlation[0] and rms_db[frame] > loudest - 25:
            f0[frame] = LAG_HZ / lag
    return f0, voicing


def partials(magnitude):
    """Return frequencies and magnitudes of the strong peaks from 300 to 2,500 Hz, as of sines under a Hann window."""
    bins = np.arange(int(300 / BIN_HZ), int(2_500 / BIN_HZ))
    here, left, right = magnitude[bins], magnitude[bins - 1], magnitude[bins + 1]
    peaks = (here > 0.03 * max(0.01, here.max())) & (here >= left) & (here > right)
    bins, here, left, right = bins[peaks], here[peaks], left[peaks], right[peaks]
    ratio = np.maximum(left, right) / here
    return (bins + np.where(right > left, 1, -1) * (2 * ratio - 1) / (ratio + 1)) * BIN_HZ, here


def tuning(magnitude):
    """(frames, bins) -> tuning in cents, and the tenth of a semitone whose chroma is in use, of each frame."""
    cents, tenths = np.zeros(len(magnitude)), np.zeros(len(magnitude), int)
    estimate = in_use = 0.0
    looks = []  # of every fourth frame: direction, weight, whether it had partials
    for frame in range(len(magnitude)):
        if frame % 4 == 0:
            hz, weight = partials(magnitude[frame])
            looks.append((np.sum(weight * np.exp(2j * np.pi * 12 * np.log2(hz / 440))), weight.sum(), len(hz) > 0))
            faded = np.array(looks) * (np.exp(-4 / (10 * FRAMES_PER_SECOND)) ** np.arange(len(looks))[::-1])[:, None]
            direction, weight, count = faded.sum(axis=0)
            if count.real >= 5 and abs(direction) >= 0.35 * weight.real:
                estimate = np.angle(direction) / (2 * np.pi)
                away = abs(estimate - in_use)
                in_use = np.round(estimate, 1) if min(away, 1 - away) > 0.08 else in_use
        cents[frame], tenths[frame] = 100 * estimate, round(10 * in_use)
    return cents, tenths


def chroma(power, tenth):
    """(bins,) -> (12,): power by pitch class, the strongest 1, where A is so many tenths of a semitone off 440 Hz."""
    rows, classes = make_chroma_filters(tenth / 10)
    by_class = np.zeros(12)
    for (first, weights), pitch_class in zip(rows, classes, strict=True):
        full = np.zeros(BINS)
        full[first : first + len(weights)] = weights
        by_class[pitch_class] += power @ full
    return by_class / by_class.max() if by_class.max() > 1e-10 else np.zeros(12)
