"""Worlds of songs: annotated scores rendered as a band, as voice and piano, as a piano alone, or as scored.

`python -m tools.training.corpora.worlds OUT --scores SCORES --kind band --soundfont TimGM6mb.sf2 --count 20` writes
NAME.ogg with NAME.sections.tsv beside it. Every song has its own arrangement, speed, key, equalisation, compression and
room. `--first` skips scores, so that no score is in two worlds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.training.corpora import SAMPLE_RATE, degradation, write_vorbis
from tools.training.corpora.arrangement import GUITARS, KEYS, PADS, SOLOS, VOICES, Arranger
from tools.training.corpora.scores import Score, read_score, render_parts, scale_to_unit_power
from tools.training.corpora.singing import SungTone, render_singing

Signal = NDArray[np.float32]

_PIANOS = (0, 0, 0, 1, 1, 2, 3, 6, 46, 24)
_RAPPED, _SUNG = 0.12, 0.6  # share of the bands: whose singer raps; that have a singer
_LEVEL = 0.12  # RMS


def render_band(score: Score, soundfont: Path, rng: np.random.Generator) -> Signal:
    """Render drums, bass, guitars, keys, and a singer or an instrument with the melody."""
    samples = _samples(score)
    arranger = Arranger(score, rng)
    parts, melody = arranger.make_backing(), arranger.make_voice()
    if rng.random() >= _SUNG:
        parts.append((6, int(rng.choice(VOICES)), melody))
        return render_parts(parts, soundfont, samples, rng, reverb=rng.random() < 0.7)
    female = rng.random() < 0.5
    down = 0 if female else -12
    voice = render_singing(_transpose(melody, down), samples, rng, rapped=rng.random() < _RAPPED, female=female)
    voice += 0.7 * render_singing(_transpose(arranger.make_doubling(), down), samples, rng)
    wet = degradation.add_reverberation(voice, rng) if rng.random() < 0.6 else voice
    backing = render_parts(parts, soundfont, samples, rng, reverb=rng.random() < 0.7)
    return _mix_voice(backing, wet, rng.uniform(-3, 5))


def render_song(score: Score, soundfont: Path, rng: np.random.Generator) -> Signal:
    """Render a singer or a solo instrument with a piano, a guitar or a harp."""
    samples, female = _samples(score), rng.random() < 0.5
    accompaniment = score.piano + (score.bridge if rng.random() < 0.5 else [])
    program = int(rng.choice([0, 0, 1, 2, 24, 46]))
    backing = render_parts([(0, program, _vary_loudness(accompaniment, score, rng))], soundfont, samples, rng)
    melody = _transpose(_vary_loudness(score.melody, score, rng), 0 if female else -12)
    voice = (
        render_singing(melody, samples, rng, female=female)
        if rng.random() < 0.75
        else render_parts([(0, int(rng.choice(VOICES)), melody)], soundfont, samples, rng)
    )
    return _mix_voice(backing, voice, rng.uniform(-4, 4))


def render_as_scored(score: Score, soundfont: Path, rng: np.random.Generator, programs: tuple[int, ...] = ()) -> Signal:
    """Render the three parts of the score, with the same timbres throughout.

    programs: MIDI programs of melody, bridge and piano; random if empty.
    """
    chosen = programs or (int(rng.choice(VOICES)), int(rng.choice(PADS + SOLOS)), int(rng.choice(KEYS + GUITARS)))
    parts = (score.melody, score.bridge, score.piano)
    return render_parts(
        [(k, program, part) for k, (program, part) in enumerate(zip(chosen, parts, strict=True))],
        soundfont,
        _samples(score),
        rng,
    )


def render_piano(score: Score, soundfont: Path, rng: np.random.Generator) -> Signal:
    """Render all parts on one piano, or sometimes a harpsichord, a harp or a guitar."""
    tones = score.melody + [SungTone(n.start, n.end, n.pitch, 0.7 * n.velocity) for n in score.piano]
    tones += [SungTone(n.start, n.end, n.pitch, 0.7 * n.velocity) for n in score.bridge if rng.random() < 0.7]
    sustained = [
        SungTone(n.start, n.end + rng.uniform(0, 0.25), n.pitch, n.velocity) for n in _vary_loudness(tones, score, rng)
    ]
    return render_parts([(0, int(rng.choice(_PIANOS)), sustained)], soundfont, _samples(score), rng)


def apply_production(sound: Signal, rng: np.random.Generator, *, much: bool) -> Signal:
    """Apply random steps of a recording chain: equaliser, compressor, room, noise, band limit, distortion.

    much: whether the steps are likely, with distortion among them.
    """
    sound = (sound * _LEVEL / (np.sqrt(np.mean(sound**2)) + 1e-6)).astype(np.float32)
    if rng.random() < (0.6 if much else 0.3):
        sound = degradation.equalise(sound, rng, rng.uniform(1, 4))
    if rng.random() < (0.6 if much else 0.2):
        sound = degradation.compress(sound, rng)
    if rng.random() < 0.25:
        sound = degradation.add_reverberation(sound, rng)
    if rng.random() < 0.15:
        sound = sound + (10 ** (rng.uniform(-60, -35) / 20) * rng.standard_normal(len(sound))).astype(np.float32)
    if rng.random() < 0.2:
        sound = degradation.band_limit(sound, 30, float(rng.choice([5000, 7000, 8500, 9500])))
    if much and rng.random() < 0.2:
        drive = rng.uniform(2, 6)
        sound = (np.tanh(drive * sound) / drive).astype(np.float32)
    sound = sound * np.float32(10 ** (rng.normal(0, 3) / 20))
    loud: Signal = (sound * min(1.0, 0.97 / float(np.abs(sound).max()))).astype(np.float32)
    return loud


def _samples(score: Score) -> int:
    return int((score.end_s + 0.5) * SAMPLE_RATE)


def _transpose(tones: list[SungTone], semitones: int) -> list[SungTone]:
    return [SungTone(tone.start, tone.end, tone.pitch + semitones, tone.velocity) for tone in tones]


def _vary_loudness(tones: list[SungTone], score: Score, rng: np.random.Generator) -> list[SungTone]:
    """Vary the loudness of the tones between sections of different letters."""
    loudness = {span.label: float(rng.normal(1, 0.12)) for span in score.sections}
    starts = np.array([span.start for span in score.sections])

    def louder(tone: SungTone) -> SungTone:
        number = max(0, int(np.searchsorted(starts, tone.start + 1e-3, side="right")) - 1)
        return SungTone(tone.start, tone.end, tone.pitch, tone.velocity * loudness[score.sections[number].label])

    return [louder(tone) for tone in tones]


def _mix_voice(backing: Signal, voice: Signal, voice_db: float) -> Signal:
    mix: Signal = (scale_to_unit_power(backing) + scale_to_unit_power(voice) * 10 ** (voice_db / 20)).astype(np.float32)
    return mix


def main() -> None:
    """Render and write songs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--kind", choices=("band", "song", "score", "piano"), required=True)
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True, help="one is drawn for each song")
    parser.add_argument("--programs", type=int, nargs=3, default=(), help="of a score's melody, bridge and piano")
    parser.add_argument(
        "--without", type=Path, help="folder of sound whose scores (by the end of the name) are skipped"
    )
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of scores to skip")
    asked = parser.parse_args()
    excluded = {path.stem.rpartition("_")[2] for path in asked.without.glob("*.ogg")} if asked.without else set()
    scores = [path for path in sorted(asked.scores.glob("*.mid")) if path.stem not in excluded]
    np.random.default_rng(5).shuffle(scores)
    asked.out.mkdir(parents=True, exist_ok=True)
    renderers = {"band": render_band, "song": render_song, "piano": render_piano}
    for number, path in enumerate(scores[asked.first : asked.first + asked.count], asked.first):
        rng = np.random.default_rng([number, len(asked.kind)])
        soundfont = asked.soundfont[rng.integers(len(asked.soundfont))]
        score = read_score(path).make_variation(float(np.exp(rng.normal(0, 0.09))), int(rng.integers(-4, 5)))
        sound = (
            render_as_scored(score, soundfont, rng, tuple(asked.programs))
            if asked.kind == "score"
            else renderers[asked.kind](score, soundfont, rng)
        )
        name = asked.out / f"{asked.kind}_{path.stem}"
        write_vorbis(name.with_suffix(".ogg"), apply_production(sound, rng, much=asked.kind == "band"))
        rows = [f"{span.start:.4f}\t{span.end:.4f}\t{span.label}\n" for span in score.sections]
        Path(f"{name}.sections.tsv").write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
