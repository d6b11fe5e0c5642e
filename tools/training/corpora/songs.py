"""Songs with a known form: composed by chance, played by FluidSynth with one set of timbres throughout.

`python -m tools.training.corpora.songs OUT --count 100 --soundfont FluidR3_GM.sf2` writes NAME.ogg with
NAME.sections.tsv (capital letters: sung; small ones: not) beside it. The look is that of arrangements for voice,
strings and piano without drums: what tells sections apart is harmony, melody, register, density and repetition.
Needs the program `fluidsynth` and the packages `mido` and `soundfile`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

from tools.training.corpora import SAMPLE_RATE, write_vorbis

_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_STARTS = {"major": (0, 5, 3, 0), "minor": (0, 5, 3, 0)}
# What tends to follow each degree (0 is the tonic).
_FOLLOWS = ((3, 4, 5, 2, 1), (4, 4, 6, 3), (5, 3, 5), (4, 0, 1, 4), (0, 5, 5, 3), (3, 1, 2, 4), (0, 2))
_FORMS = [
    "iABbABo",
    "iAABbABBo",
    "iAABBbABBo",
    "iABCbABCo",
    "iAABCbBCCo",
    "iABABbBo",
    "iAxABxBo",
    "iABxABbBBo",
    "iAABXbABXo",
    "iABbBo",
    "iAAbAAXo",
    "iABAbABABo",
    "iABCxABCXo",
    "iAABbAABo",
    "AABxABXo",
    "iAXBbABBo",
    "iABxABXo",
    "iABBxABBo",
    "iABbABXBBo",
    "iABAxBAo",
]
_BARS = {
    "phrase": (4, 4, 6, 8, 8, 8, 8, 8, 8, 8, 9, 12),
    "i": (2, 4, 4, 7, 8, 8, 9),
    "b": (4, 8, 8),
    "x": (1, 1, 3, 4, 6),
}
_BARS |= {"X": (1, 2, 3, 4, 8), "o": (1, 2, 3, 4, 4, 7, 8)}
_VOICES = (
    (53, 48, 0),
    (53, 48, 0),
    (53, 48, 0),
    (52, 48, 0),
    (54, 49, 0),
    (73, 48, 0),
    (53, 50, 1),
    (65, 48, 4),
    (40, 49, 0),
)
_PPQ = 480


@dataclass(frozen=True)
class Note:
    """One note: its start and length in beats; MIDI pitch and velocity; part 0 voice, 1 strings, 2 piano."""

    start: float
    length: float
    pitch: int
    velocity: int
    part: int


@dataclass
class Phrase:
    """What returns when a letter returns: harmony, melody, and how the piano and the strings go along."""

    bars: int
    chords: list[tuple[float, float, int]]  # start and length in beats, degree
    melody: list[tuple[float, float, int]]  # start and length in beats, steps of the scale above the tonic
    figure: int
    strings: int
    loudness: float


@dataclass
class Song:
    """A composed song: notes in beats, and its sections as (start beat, end beat, letter)."""

    beats_a_minute: float
    beats_a_bar: int
    programs: tuple[int, int, int]
    notes: list[Note] = field(default_factory=list)
    sections: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def n_beats(self) -> float:
        """How long it is, in beats."""
        return self.sections[-1][1]


class Composer:
    """Composes songs by chance."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def compose(self) -> Song:
        """One song."""
        rng = self._rng
        self._scale = _MAJOR if rng.random() < 0.7 else _MINOR
        self._tonic = int(rng.integers(-5, 7))
        self._beats = 4 if rng.random() < 0.94 else 3
        tempo = float(np.clip(rng.normal(80, 13), 58, 130))
        song = Song(tempo, self._beats, _VOICES[rng.integers(len(_VOICES))])
        self._sung_low = int(rng.integers(55, 66))
        self._figure = int(rng.integers(6))
        self._chorus_denser = rng.random() < 0.6
        form = str(rng.choice(_FORMS))
        letters = {letter: self._phrase(letter) for letter in dict.fromkeys(form)}
        lead = self._beats * float(rng.choice([0.1, 0.3, 0.4, 0.7, 1.0]))
        at = lead
        song.sections.append((0.0, lead, "_"))
        for k, letter in enumerate(form):
            phrase = letters[letter]
            repeats = 1
            if letter in "AB" and phrase.bars <= 8 and rng.random() < 0.25:
                repeats = 2
            if letter in "xX" and k and rng.random() < 0.5:
                phrase = self._phrase(letter)
            begin = at
            for _ in range(repeats):
                self._play(song, phrase, letter, at)
                at += phrase.bars * self._beats
            if song.sections[-1][2] == letter:
                song.sections[-1] = (song.sections[-1][0], at, letter)
            else:
                song.sections.append((begin, at, letter))
        end = at + self._beats * float(rng.uniform(0.6, 2.2))
        self._chord(song, at, end - at, 0, 0, 50)
        song.sections.append((at, end, "_"))
        if rng.random() < 0.12:  # the last part a whole tone or a semitone higher
            self._modulate(song)
        return song

    def _modulate(self, song: Song) -> None:
        where = song.sections[-3 if len(song.sections) > 5 else -2][0]
        up = int(self._rng.integers(1, 3))
        song.notes = [
            Note(n.start, n.length, n.pitch + up * (n.start >= where - 1e-9), n.velocity, n.part) for n in song.notes
        ]

    def _phrase(self, letter: str) -> Phrase:
        rng = self._rng
        bars = int(rng.choice(_BARS.get(letter, _BARS["phrase"])))
        chords = self._harmony(bars)
        chorus = letter in "BC"
        figure = self._figure if rng.random() < 0.45 else int(rng.integers(6))
        if chorus and self._chorus_denser:
            figure = max(figure, int(rng.integers(2, 6)))
        strings = int(
            rng.choice([0, 1, 2, 3], p=[0.45, 0.25, 0.15, 0.15] if letter.isupper() else [0.25, 0.25, 0.15, 0.35])
        )
        loudness = float(rng.normal(1.06 if chorus else 0.98 if letter.isupper() else 0.93, 0.07))
        return Phrase(bars, chords, self._tune(bars, chords, chorus), figure, strings, loudness)

    def _harmony(self, bars: int) -> list[tuple[float, float, int]]:
        """A unit of two or four bars, repeated with another close."""
        rng = self._rng
        unit_bars = min(bars, int(rng.choice([2, 4, 4, 4])))
        per_bar = int(rng.choice([1, 1, 2])) if self._beats == 4 else 1
        degree, unit = int(rng.choice(_STARTS["major"])), []
        for _ in range(unit_bars * per_bar):
            unit.append(degree)
            degree = int(rng.choice(_FOLLOWS[degree]))
        chords, length = [], self._beats / per_bar
        total = bars * per_bar
        for k in range(total):
            chosen = unit[k % len(unit)]
            if k >= total - per_bar and rng.random() < 0.6:
                chosen = int(rng.choice([4, 0, 0, 3]))
            elif k % len(unit) == len(unit) - 1 and rng.random() < 0.4:
                chosen = int(rng.choice([4, 4, 3, 1]))
            chords.append((k * length, length, chosen))
        return chords

    def _tune(self, bars: int, chords: list[tuple[float, float, int]], chorus: bool) -> list[tuple[float, float, int]]:
        """Motifs of one or two bars, repeated over the harmony; a long note and a breath close every few bars."""
        rng, beats = self._rng, self._beats
        density = float(rng.uniform(0.35, 0.85)) * (0.9 if chorus else 1.0)
        motif_bars = int(rng.choice([1, 2, 2]))
        grid = 0.5 if rng.random() < 0.65 else 0.25
        motifs = []
        for _ in range(2):
            slots = np.arange(0, motif_bars * beats, grid)
            strong = np.where(slots % 1 == 0, 1.25, np.where(slots % 0.5 == 0, 0.9, 0.55))
            motifs.append(slots[rng.random(len(slots)) < np.clip(density * strong, 0, 0.97)])
        plan = [0, 0, 1, 0] if rng.random() < 0.5 else [0, 1, 0, 1]
        centre = int(rng.integers(0, 5)) + (3 if chorus and rng.random() < 0.7 else 0)
        breath_bars = int(rng.choice([2, 4, 4]))
        tune: list[tuple[float, float, int]] = []
        step = centre
        for unit in range(-(-bars // motif_bars)):
            for slot in motifs[plan[unit % len(plan)]]:
                start = unit * motif_bars * beats + float(slot)
                bar = int(start // beats)
                closing = bar % breath_bars == breath_bars - 1 or bar == bars - 1
                if bar >= bars or (closing and start % beats > beats * (0.3 if bar == bars - 1 else 0.6)):
                    continue
                degree = next(d for s, length, d in chords if s <= start < s + length + 1e-9)
                step += int(rng.choice([-2, -1, -1, 0, 0, 1, 1, 2]))
                step = int(np.clip(step, centre - 5, centre + 6))
                if start % 1 == 0 and rng.random() < 0.75:
                    step = min(
                        (s for s in range(step - 3, step + 4) if (s - degree) % 7 in (0, 2, 4)),
                        key=lambda s: abs(s - step),
                    )
                tune.append((start, 0.0, step))
        if not tune:
            tune.append((0.0, 0.0, centre))
        ends = [start for start, _, _ in tune[1:]] + [bars * beats - float(rng.choice([0.0, 0.5, 1.0, 1.5]))]
        held = float(rng.choice([0.9, 1.0]))
        return [(s, max(0.2, min((e - s) * held, 3.5)), p) for (s, _, p), e in zip(tune, ends, strict=True)]

    def _pitch(self, step: int, low: int) -> int:
        """A step of the scale as MIDI pitch, in the octave above `low`."""
        base = 60 + self._tonic
        while base < low:
            base += 12
        while base >= low + 12:
            base -= 12
        return base + 12 * (step // 7) + self._scale[step % 7]

    def _add(self, song: Song, start: float, length: float, pitch: int, velocity: float, part: int) -> None:
        jitter = float(self._rng.normal(0, 0.012))
        loud = int(np.clip(velocity + self._rng.normal(0, 4), 20, 120))
        song.notes.append(Note(max(0.0, start + jitter), max(0.08, length), int(np.clip(pitch, 28, 96)), loud, part))

    def _play(self, song: Song, phrase: Phrase, letter: str, at: float) -> None:
        rng, beats = self._rng, self._beats
        end = phrase.bars * beats
        figure = phrase.figure if rng.random() < 0.8 else int(rng.integers(6))
        loud = phrase.loudness * float(rng.normal(1.0, 0.04))
        fill = rng.random() < 0.35
        for start, length, degree in phrase.chords:
            last = start >= end - beats
            self._chord(
                song, at + start, length, degree, 0 if last and fill and rng.random() < 0.5 else figure, 62 * loud
            )
        if fill:
            for k in range(int(rng.integers(3, 8))):
                self._add(
                    song, at + end - 2 + k * 0.25, 0.3, self._pitch(k + int(rng.integers(-1, 2)), 60), 58 * loud, 2
                )
        if letter.isupper():
            pickup = rng.random() < 0.3 and at > beats
            if pickup:
                for k in range(int(rng.integers(1, 4))):
                    self._add(
                        song,
                        at - 0.5 * (k + 1),
                        0.45,
                        self._pitch(phrase.melody[0][2] - k if phrase.melody else 0, self._sung_low),
                        84,
                        0,
                    )
            vary = end - beats * 2 if rng.random() < 0.5 else end
            for start, length, step in phrase.melody:
                turned = step + (int(rng.choice([-2, 1, 2])) if start >= vary and rng.random() < 0.5 else 0)
                if rng.random() < 0.97:
                    self._add(song, at + start, length, self._pitch(turned, self._sung_low), 88 * loud, 0)
        self._strings(song, phrase, letter, at, loud)

    def _chord(self, song: Song, at: float, length: float, degree: int, figure: int, velocity: float) -> None:
        """One chord of the piano: 0 held, 1 bass and chord, 2 eighths up, 3 up and down, 4 off-beats, 5 sixteenths."""
        tones = [degree, degree + 2, degree + 4]
        bass = self._pitch(degree, 36)
        right = [self._pitch(t, 55) for t in tones]
        self._add(song, at, length * 0.97, bass, velocity, 2)
        if figure in (2, 3, 5):
            grid = 0.25 if figure == 5 else 0.5
            order = [0, 1, 2, 1] if figure == 3 else [0, 1, 2, 3]
            ladder = [self._pitch(t, 48) for t in (degree, degree + 4, degree + 7, degree + 9)]
            for k, start in enumerate(np.arange(0, length - 1e-9, grid)):
                self._add(song, at + float(start), grid * 1.6, ladder[order[k % 4]], velocity * 0.85, 2)
            return
        starts = {0: [0.0], 1: list(np.arange(0, length, 1.0)), 4: list(np.arange(0.5, length, 1.0))}[figure]
        for start in starts:
            for pitch in right:
                self._add(song, at + float(start), length if figure == 0 else 0.8, pitch, velocity * 0.9, 2)

    def _strings(self, song: Song, phrase: Phrase, letter: str, at: float, loud: float) -> None:
        """0 none, 1 held chords, 2 an answer in the breaths, 3 a line of their own."""
        if phrase.strings == 1:
            for start, length, degree in phrase.chords:
                for tone in (degree, degree + 2):
                    self._add(song, at + start, length, self._pitch(tone, 60), 50 * loud, 1)
        elif phrase.strings == 2:
            for start, length, degree in phrase.chords[3::4]:
                for k in range(4):
                    self._add(song, at + start + k * length / 4, length / 4, self._pitch(degree + k, 67), 58 * loud, 1)
        elif phrase.strings == 3:
            octave = 60 if letter.isupper() else 67
            thinner = 2 if letter.isupper() else 1
            for start, length, step in phrase.melody[::thinner]:
                self._add(song, at + start, length * thinner, self._pitch(step + 2, octave), 62 * loud, 1)


def to_midi(song: Song) -> mido.MidiFile:
    """The song as a MIDI file."""
    moments: list[tuple[int, int, mido.Message]] = []
    for part, program in enumerate(song.programs):
        moments.append((0, 0, mido.Message("program_change", channel=part, program=program)))
    for n in song.notes:
        start, end = round(n.start * _PPQ), round((n.start + n.length) * _PPQ)
        moments.append((start, 2, mido.Message("note_on", channel=n.part, note=n.pitch, velocity=n.velocity)))
        moments.append((end, 1, mido.Message("note_off", channel=n.part, note=n.pitch)))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(song.beats_a_minute))])
    now = 0
    for tick, _, message in sorted(moments, key=lambda moment: moment[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    return mido.MidiFile(ticks_per_beat=_PPQ, tracks=[track])


def play_song(song: Song, soundfont: Path) -> NDArray[np.float32]:
    """The song as sound, mono, 22,050 Hz."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "song.mid"), Path(folder, "song.wav")
        to_midi(song).save(score)
        subprocess.run(
            [
                shutil.which("fluidsynth") or "fluidsynth",
                "-ni",
                "-q",
                "-r",
                str(SAMPLE_RATE),
                "-F",
                sound,
                soundfont,
                score,
            ],
            check=True,
            capture_output=True,
        )
        samples, _ = soundfile.read(sound, dtype="float32")
    mono: NDArray[np.float32] = samples.mean(axis=1)[: round(song.n_beats * 60 / song.beats_a_minute * SAMPLE_RATE)]
    return mono * np.float32(0.7 / max(float(np.abs(mono).max()), 1e-6))


def main() -> None:
    """Compose, play and write songs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number, and seed, of the first song")
    parser.add_argument("--soundfont", type=Path, default=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for seed in range(asked.first, asked.first + asked.count):
        song = Composer(seed).compose()
        name = asked.out / f"song_{seed:04d}"
        write_vorbis(name.with_suffix(".ogg"), play_song(song, asked.soundfont))
        second = 60 / song.beats_a_minute
        rows = [f"{start * second:.4f}\t{end * second:.4f}\t{letter}\n" for start, end, letter in song.sections]
        Path(f"{name}.sections.tsv").write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
