"""Mixes of tracks with exactly known transitions.

`python -m tools.training.corpora.mixes OUT --tracks DIR --count 40` takes every sound file of at least 75 s below DIR
as a track and writes NAME.ogg with NAME.transitions.tsv and NAME.segments.tsv beside it. After UnmixDB (Schwarz &
Fourer 2018): excerpts of 60 to 180 s at equal level; hard cuts, linear and equal-power crossfades of 2 to 16 s. Unlike
UnmixDB also blends, in which the speed of the incoming track is changed so that its tempo matches. Half of the tracks
are slightly equalised; with `--varied .06` the speed of each track changes by up to 6 %, with its pitch. In every
second mix an early track returns.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import sosfilt

from streamseg.engine.features import COLUMNS, FeatureExtractor
from streamseg.errors import NotAudioError
from tools.training.corpora import SAMPLE_RATE, decode_file, write_vorbis

Samples = NDArray[np.float32]
_ENDINGS = (".ogg", ".opus", ".mp3", ".flac", ".wav")
# Variants of another track, stems, and files that are not music.
_SKIPPED = re.compile(
    r"frantic-old|airship_remix|track3_enhanced|menu_enhanced|sixtyfour_revisited|/tutorial|guitar\.ogg|rain\.wav"
)
_MIN_TRACK_S = 75.0
_MAX_SILENCE_S = 2.5
_BLEND_SHARE = 0.25
_MAX_STRETCH = 0.12
_MIN_TEMPO_CONFIDENCE = 0.3


@dataclass(frozen=True, eq=False)
class MixTrack:
    """A track: name, sound without silent ends, and tempo (0 if there is none)."""

    name: str
    samples: Samples
    tempo_bpm: float


@dataclass(frozen=True)
class Transition:
    """A transition; start and end in seconds."""

    start: float
    end: float
    kind: str
    before: str
    after: str


def load_tracks(folder: Path, excluded: frozenset[str] = frozenset()) -> Iterator[MixTrack]:
    """Yield the tracks below a folder, sorted by path; tracks with excluded names are not decoded."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _ENDINGS or _SKIPPED.search(str(path)):
            continue
        package = path.relative_to(folder).parts[0].split("-")[0]
        stem = path.parent.name if path.stem == "song" else path.stem
        name = f"{package}_{re.sub('[^a-z0-9]', '', stem.lower())}"
        if name in excluded:
            continue
        try:
            samples = decode_file(path)
            if path.stem == "song" and (stem_of := path.with_name("guitar.ogg")).exists():
                guitar = decode_file(stem_of)
                samples, guitar = sorted((samples, guitar), key=len, reverse=True)
                samples[: len(guitar)] += guitar
        except NotAudioError:
            continue
        sounding = _trim_silence(samples)
        if sounding is not None:
            yield MixTrack(name, sounding, _estimate_tempo(sounding))


def _trim_silence(samples: Samples) -> Samples | None:
    """Remove silent ends; returns None for a track that is too short or has a long pause."""
    step = SAMPLE_RATE // 10
    count = len(samples) // step
    if count < 10 * _MIN_TRACK_S:
        return None
    rms_db = 10 * np.log10((samples[: count * step].reshape(count, step) ** 2).mean(axis=1) + 1e-12)
    loud = float(np.percentile(rms_db, 95))
    on = np.flatnonzero(rms_db > loud - 50)
    audible = np.flatnonzero(rms_db > loud - 55)
    if (on[-1] + 1 - on[0]) < 10 * _MIN_TRACK_S or np.diff(audible).max() > 10 * _MAX_SILENCE_S:
        return None
    return samples[on[0] * step : (on[-1] + 1) * step]


def _estimate_tempo(samples: Samples) -> float:
    middle = len(samples) // 2
    frames = FeatureExtractor().push(samples[middle - 15 * SAMPLE_RATE : middle + 15 * SAMPLE_RATE])[400:]
    confident = frames[:, COLUMNS["tempo_confidence"]][:, 0] > _MIN_TEMPO_CONFIDENCE
    return float(np.median(frames[confident, COLUMNS["tempo_bpm"]])) if confident.mean() > 0.5 else 0.0


def _normalise_level(samples: Samples) -> Samples:
    """Scale to an RMS of -20 dB of full scale over the parts within 30 dB of the loudest."""
    step = int(0.4 * SAMPLE_RATE)
    power = (samples[: len(samples) // step * step].reshape(-1, step) ** 2).mean(axis=1) + 1e-12
    gated = power[power > power.max() * 1e-3].mean()
    return samples * np.float32(0.1 / np.sqrt(gated))


class Mixer:
    """Makes random mixes of excerpts of tracks."""

    def __init__(self, tracks: list[MixTrack], seed: int, varied: float = 0.0) -> None:
        self._tracks = tracks
        self._varied = varied
        self._rng = np.random.default_rng(seed)
        self._bag: list[MixTrack] = []
        self._made = 0

    def make_mix(self) -> tuple[Samples, list[Transition]]:
        """Make one mix of eight to twelve tracks, and its transitions."""
        rng = self._rng
        chosen: list[MixTrack] = []
        while len(chosen) < rng.integers(8, 13):
            if not self._bag:
                self._bag = [self._tracks[i] for i in rng.permutation(len(self._tracks))]
            if (track := self._bag.pop()) not in chosen:
                chosen.append(track)
        self._made += 1
        if self._made % 2 == 0:
            early = int(rng.integers(0, 3))
            chosen.insert(int(rng.integers(early + 4, len(chosen) + 1)), chosen[early])
        mix = np.zeros(0, np.float32)
        joints: list[Transition] = []
        used: dict[str, tuple[float, float]] = {}
        equalised = {track.name: self._equaliser() for track in chosen}
        speeds = {track.name: 1.0 + float(rng.uniform(-1, 1)) * self._varied for track in chosen}
        tempo_bpm = 0.0
        for k, track in enumerate(chosen):
            kind = str(rng.choice(["cut", "equalpower", "linear"], p=[0.25, 0.4, 0.35]))
            overlap_s = 0.0 if kind == "cut" else float(rng.uniform(2, 16))
            speed = speeds[track.name]
            if k and rng.random() < _BLEND_SHARE and (meeting := _matching_speed(tempo_bpm, track.tempo_bpm)):
                kind, overlap_s, speed = "blend", float(rng.uniform(6, 16)), meeting
            tempo_bpm = speed * track.tempo_bpm
            excerpt = self._excerpt(track, used, speed, equalised[track.name])
            if k == 0:
                mix = excerpt
                continue
            start = len(mix) - int(overlap_s * SAMPLE_RATE)
            mix = _join(mix, excerpt, int(overlap_s * SAMPLE_RATE), "linear" if kind == "linear" else "equalpower")
            joints.append(
                Transition(start / SAMPLE_RATE, start / SAMPLE_RATE + overlap_s, kind, chosen[k - 1].name, track.name)
            )
        return mix * np.float32(min(1.0, 0.89 / float(np.abs(mix).max()))), joints

    def _excerpt(
        self, track: MixTrack, used: dict[str, tuple[float, float]], speed: float, equaliser: NDArray[np.float64] | None
    ) -> Samples:
        rng, whole = self._rng, len(track.samples) / SAMPLE_RATE
        low, high = 0.0, whole
        length = min(float(rng.uniform(60, 180)), whole)
        if track.name in used:  # a returning track has another excerpt, if there is one
            first, last = used[track.name]
            rest = max(((0.0, first), (last, whole)), key=lambda part: part[1] - part[0])
            if rest[1] - rest[0] >= 40:
                low, high = rest
        length = min(length, high - low)
        start = float(rng.uniform(low, high - length))
        used[track.name] = (start, start + length)
        excerpt = track.samples[int(start * SAMPLE_RATE) : int((start + length) * SAMPLE_RATE)]
        if speed != 1.0:
            excerpt = soxr.resample(excerpt, SAMPLE_RATE, SAMPLE_RATE / speed).astype(np.float32)
        if equaliser is not None:
            excerpt = sosfilt(equaliser, excerpt).astype(np.float32)
        return _normalise_level(excerpt) * np.float32(10 ** (rng.uniform(-1.5, 1.5) / 20))

    def _equaliser(self) -> NDArray[np.float64] | None:
        """Return three gentle peaking filters as second-order sections, or None."""
        rng = self._rng
        if rng.random() < 0.5:
            return None
        return np.array(
            [_peak(float(f), float(rng.uniform(-6, 6))) for f in (120, 900, 5000) * rng.uniform(0.6, 1.6, 3)]
        )


def _peak(hz: float, gain_db: float) -> list[float]:
    """Return a peaking filter of 1.5 octaves as a second-order section (Bristow-Johnson's cookbook)."""
    amplitude, w = 10 ** (gain_db / 40), 2 * np.pi * hz / SAMPLE_RATE
    alpha = np.sin(w) / (2 * 0.9)
    scale = 1 + alpha / amplitude
    b = (1 + alpha * amplitude, -2 * np.cos(w), 1 - alpha * amplitude)
    a = (1 + alpha / amplitude, -2 * np.cos(w), 1 - alpha / amplitude)
    return [float(x / scale) for x in (*b, *a)]


def _matching_speed(before_bpm: float, after_bpm: float) -> float:
    """Return the speed at which the tempo of the second track matches, octaves aside; 0 if it is too far from 1."""
    if not before_bpm or not after_bpm:
        return 0.0
    ratio = min((before_bpm / after_bpm * 2.0**octave for octave in (-1, 0, 1)), key=lambda r: abs(np.log(r)))
    return float(ratio) if abs(ratio - 1) <= _MAX_STRETCH else 0.0


def _join(mix: Samples, excerpt: Samples, overlap: int, kind: str) -> Samples:
    faded = overlap or int(0.005 * SAMPLE_RATE)  # a hard cut has a fade of 5 ms, against the click
    ramp = np.linspace(0, 1, faded, dtype=np.float32)
    rising, falling = (np.sin(ramp * np.pi / 2), np.cos(ramp * np.pi / 2)) if kind == "equalpower" else (ramp, 1 - ramp)
    head, tail, excerpt = mix[:-faded], mix[-faded:] * falling, excerpt.copy()
    excerpt[:faded] *= rising
    if not overlap:
        return np.concatenate([head, tail, excerpt])
    return np.concatenate([head, tail + excerpt[:faded], excerpt[faded:]])


def write_mix(name: Path, mix: Samples, joints: list[Transition]) -> None:
    """Write NAME.ogg with its transitions and segments beside it."""
    write_vorbis(name.with_suffix(".ogg"), mix)
    rows = [f"{j.start:.4f}\t{j.end:.4f}\t{j.kind}:{j.before}>{j.after}\n" for j in joints]
    Path(f"{name}.transitions.tsv").write_text("".join(rows), encoding="utf-8")
    middles = [0.0, *((j.start + j.end) / 2 for j in joints), len(mix) / SAMPLE_RATE]
    names = [joints[0].before, *(j.after for j in joints)]
    spans = [f"{s:.4f}\t{e:.4f}\t{name}\n" for s, e, name in zip(middles, middles[1:], names, strict=False)]
    Path(f"{name}.segments.tsv").write_text("".join(spans), encoding="utf-8")


def main() -> None:
    """Make and write mixes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tracks", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exclude", type=Path, help="file of track names to leave out, one a line")
    parser.add_argument("--varied", type=float, default=0.0, help="maximum relative change of a track's speed")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    excluded = frozenset(asked.exclude.read_text(encoding="utf-8").split()) if asked.exclude else frozenset()
    mixer = Mixer(list(load_tracks(asked.tracks, excluded)), asked.seed, asked.varied)
    for number in range(asked.count):
        write_mix(asked.out / f"mix_{asked.seed}_{number:03d}", *mixer.make_mix())


if __name__ == "__main__":
    main()
