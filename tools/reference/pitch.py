"""Pitch of real voices compared with librosa's pyin; the reference is where Praat and Harvest (WORLD) agree."""

import librosa
import numpy as np
import soundfile

from streamseg.engine.features import COLUMNS, FeatureExtractor

RATE, HOP, FRAME = 22_050, 512, 2_048
LOWEST_HZ, HIGHEST_HZ = 60, 600
SECONDS_A_FILE = 100


def cents(a, b):
    return 1_200 * np.abs(np.log2(np.maximum(a, 1.0) / np.maximum(b, 1.0)))


def praat(samples, times):
    import parselmouth

    pitch = parselmouth.Sound(samples, RATE).to_pitch_ac(
        time_step=0.005, pitch_floor=LOWEST_HZ, pitch_ceiling=HIGHEST_HZ
    )
    return np.array([np.nan_to_num(pitch.get_value_at_time(t)) for t in times])


def harvest(samples, times):
    import pyworld

    f0 = pyworld.harvest(samples, RATE, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=5)[0]
    return f0[np.minimum(np.rint(times / 0.005).astype(int), len(f0) - 1)]


def pyin(samples, count):
    f0, voiced, _ = librosa.pyin(
        samples, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=RATE, frame_length=FRAME, hop_length=HOP, center=False
    )
    return np.where(voiced, np.nan_to_num(f0), 0.0)[:count]


def speech(path):
    """Return the spans of speech alone, up to SECONDS_A_FILE, from the annotation of the file."""
    left = SECONDS_A_FILE
    for line in path.with_name(f"{path.stem}.segments.tsv").read_text().splitlines():
        start, end, label = line.split("\t")
        if label == "speech" and left > 2.0 and float(end) - float(start) > 2.0:
            end = min(float(end), float(start) + left)
            left -= end - float(start)
            yield float(start), end


def rows(folder):
    found = {name: [] for name in ("praat", "harvest", "ours", "pyin")}
    try:
        for path in sorted((folder / "broadcast").glob("*.ogg")):
            whole = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
            frames = FeatureExtractor().push(whole)[:, COLUMNS["f0_hz"].start]
            for start, end in speech(path):
                first, last = int(np.ceil(start * RATE / HOP)), int((end * RATE - FRAME) // HOP)
                samples = whole[first * HOP : last * HOP + FRAME].astype(np.float64)
                times = (np.arange(last - first + 1) * HOP + FRAME / 2) / RATE
                found["praat"].append(praat(samples, times))
                found["harvest"].append(harvest(samples, times))
                found["ours"].append(frames[first : last + 1])
                found["pyin"].append(pyin(samples, len(times)))
    except ImportError as error:
        yield "real voices", f"not measured: pip install {error.name} (praat-parselmouth, pyworld)"
        return
    f0 = {name: np.concatenate(parts) for name, parts in found.items()}
    voiced = (f0["praat"] > 0) & (f0["harvest"] > 0) & (cents(f0["praat"], f0["harvest"]) < 50)
    unvoiced = (f0["praat"] == 0) & (f0["harvest"] == 0)
    for name in ("ours", "pyin"):
        near = (cents(f0[name], f0["praat"]) < 50)[voiced].mean()
        yield f"{name}: within 50 cents, of {voiced.sum()} voiced frames", f"{near:.3f}"
        yield f"{name}: called voiced, of {unvoiced.sum()} unvoiced frames", f"{(f0[name] > 0)[unvoiced].mean():.3f}"
