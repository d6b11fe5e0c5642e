"""Tempo compared with librosa and aubio, key with librosa's chroma and Krumhansl's profiles, beats with bar lines.

The songs have known tempo and key: `pop909/tempo_key.tsv`.
"""

import csv
from functools import cache

import librosa
import numpy as np
import soundfile

from streamseg.engine.features import COLUMNS, FeatureExtractor
from streamseg.engine.sections.key import PITCH_CLASS_NAMES, estimate_key
from streamseg.engine.sections.statistics import BPM_SCALE, REPORT_COLUMNS, FrameStatistics

RATE, HOP, FRAME = 22_050, 512, 2_048
AT_S = 10.0
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)  # Krumhansl & Kessler 1982
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
SHARPS = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}


@cache
def songs(folder):
    """Return (path, tempo, (tonic, minor)) of each song."""
    with (folder / "pop909" / "tempo_key.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = []
    for row in rows:
        tonic, mode = row["key"].split(":")
        key = PITCH_CLASS_NAMES.index(SHARPS.get(tonic, tonic)), mode == "min"
        found.append((folder / "pop909" / f"{row['song']}.ogg", float(row["tempo_bpm"]), key))
    return found


@cache
def sound(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)


@cache
def frames(path):
    return FeatureExtractor().push(sound(path))


def accuracy(estimate, truth):
    """Return whether the estimate is within 4 % of the tempo, and of it or its double, triple, half or third."""
    near = [abs(estimate - truth * times) <= 0.04 * truth * times for times in (1, 2, 3, 1 / 2, 1 / 3)]
    return near[0], any(near)


def aubio_tempo(samples):
    import aubio

    tempo = aubio.tempo("default", 1_024, HOP, RATE)
    beats = [tempo.get_last_s() for i in range(0, len(samples) - HOP, HOP) if tempo(samples[i : i + HOP])[0]]
    return 60.0 / float(np.median(np.diff(beats))) if len(beats) > 2 else 0.0


def report_tempo(rows):
    """Return the tempo that a report has for all frames."""
    tally = FrameStatistics()
    tally.add_frames(rows[:, REPORT_COLUMNS].astype(np.float32))
    near = np.convolve(tally.tempo, np.ones(9, np.int64), mode="same")
    return BPM_SCALE.value_at(float(np.argmax(near)))


def tempo_rows(folder):
    first = int(AT_S * RATE)
    at = (first - FRAME) // HOP
    estimators = {
        f"ours, at {AT_S:.0f} s": lambda path: frames(path)[at, COLUMNS["tempo_bpm"].start],
        f"librosa, first {AT_S:.0f} s": lambda path: float(librosa.feature.tempo(y=sound(path)[:first], sr=RATE)[0]),
        f"aubio, first {AT_S:.0f} s": lambda path: aubio_tempo(sound(path)[:first]),
        "ours, of the whole song": lambda path: report_tempo(frames(path)),
        "librosa, of the whole song": lambda path: float(librosa.feature.tempo(y=sound(path), sr=RATE)[0]),
        "aubio, of the whole song": lambda path: aubio_tempo(sound(path)),
    }
    for name, estimate in estimators.items():
        try:
            scores = [accuracy(estimate(path), tempo) for path, tempo, _ in songs(folder)]
        except ImportError:
            yield name, "not measured: pip install aubio-ledfx"
            continue
        yield f"{name}: accuracy 1, 2", "{:.2f} {:.2f}".format(*np.mean(scores, axis=0))


def mirex(estimate, truth):
    """Return the MIREX score of a key: 1 right, 0.5 a fifth off, 0.3 relative, 0.2 parallel."""
    if estimate is None:
        return 0.0
    (tonic, minor), (true_tonic, true_minor) = estimate, truth
    if estimate == truth:
        return 1.0
    apart = (tonic - true_tonic) % 12
    if minor == true_minor:
        return 0.5 if apart in (5, 7) else 0.0
    if apart == (9 if minor else 3):
        return 0.3
    return 0.2 if apart == 0 else 0.0


def our_key(chroma):
    key = estimate_key(chroma)
    if key is None:
        return None
    tonic, mode = key.name.split()
    return PITCH_CLASS_NAMES.index(tonic), mode == "minor"


def krumhansl(chroma):
    profiles = {
        (tonic, minor): np.roll(MINOR if minor else MAJOR, tonic) for tonic in range(12) for minor in (False, True)
    }
    return max(profiles, key=lambda key: np.corrcoef(profiles[key], chroma)[0, 1])


def key_rows(folder):
    ours = [mirex(our_key(frames(path)[:, COLUMNS["tuned_chroma"]].sum(axis=0)), key) for path, _, key in songs(folder)]
    theirs = [
        mirex(krumhansl(librosa.feature.chroma_stft(y=sound(path), sr=RATE).sum(axis=1)), key)
        for path, _, key in songs(folder)
    ]
    yield "ours: MIREX weighted score", f"{np.mean(ours):.2f}"
    yield "librosa's chroma, Krumhansl's profiles", f"{np.mean(theirs):.2f}"


def beat_rows(folder):
    """Measure the distance of phrase boundaries, which are bar lines, from the beat decided four seconds later."""
    apart = []
    for path, _, _ in songs(folder):
        rows = frames(path)
        lines = path.with_name(f"{path.stem}.phrases.tsv").read_text().splitlines()[1:]
        for t in (float(line.split("\t")[0]) for line in lines):
            i = int((t + 4.0) * RATE / HOP)
            if i < len(rows) and rows[i, COLUMNS["tempo_bpm"].start] > 0 and t > AT_S:
                period = 60.0 / rows[i, COLUMNS["tempo_bpm"].start]
                turns = (t - (i * HOP + 1_536) / RATE) / period + rows[i, COLUMNS["beat_phase"].start]
                apart.append((turns - round(turns)) * period)
    apart = np.array(apart)
    yield f"median distance of {len(apart)} bar lines from a beat", f"{np.median(np.abs(apart)):.3f} s"
    yield "bar lines within 0.1 s of a beat", f"{(np.abs(apart) < 0.1).mean():.2f}"
    yield "median of bar line less beat", f"{np.median(apart):+.3f} s"
