"""Composition of random songs with a known form.

The style is that of arrangements for voice, strings and piano without drums: sections differ in harmony, melody,
register, density and repetition.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_STARTS = {"major": (0, 5, 3, 0), "minor": (0, 5, 3, 0)}
# Likely successors of each degree (0 is the tonic).
_FOLLOWS = ((3, 4, 5, 2, 1), (4, 4, 6, 3), (5, 3, 5), (4, 0, 1, 4), (0, 5, 5, 3), (3, 1, 2, 4), (0, 2))
_FORMS = [
    "iABbABo", "iAABbABBo", "iAABBbABBo", "iABCbABCo", "iAABCbBCCo", "iABABbBo", "iAxABxBo",
    "iABxABbBBo", "iAABXbABXo", "iABbBo", "iAAbAAXo", "iABAbABABo", "iABCxABCXo", "iAABbAABo",
    "AABxABXo", "iAXBbABBo", "iABxABXo", "iABBxABBo", "iABbABXBBo", "iABAxBAo",
]  # fmt: skip
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


@dataclass(frozen=True)
class Note:
    """One note: start and length in beats; MIDI pitch and velocity; part 0 voice, 1 strings, 2 piano."""

    start: float
    length: float
    pitch: int
    velocity: int
    part: int


@dataclass
class Phrase:
    """The music of one letter of a form: harmony, melody, and the figures of piano and strings."""

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
        """Length in beats."""
        return self.sections[-1][1]


class Composer:
    """Composes random songs; equal seeds give equal songs."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def compose(self) -> Song:
        """Compose one song."""
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
        """Make chords (start, length, degree): a unit of two or four bars, repeated with varied endings."""
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
        """Make a melody (start, length, step) of motifs of one or two bars, with a long note every few bars."""
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
        legato = float(rng.choice([0.9, 1.0]))
        return [(s, max(0.2, min((e - s) * legato, 3.5)), p) for (s, _, p), e in zip(tune, ends, strict=True)]

    def _pitch(self, step: int, low: int) -> int:
        """Return the MIDI pitch of a step of the scale, in the octave above `low`."""
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
        """Add one occurrence of a phrase, with variations, from beat `at` on."""
        rng, beats = self._rng, self._beats
        end = phrase.bars * beats
        figure = phrase.figure if rng.random() < 0.8 else int(rng.integers(6))
        loudness = phrase.loudness * float(rng.normal(1.0, 0.04))
        fill = rng.random() < 0.35
        for start, length, degree in phrase.chords:
            sustained = start >= end - beats and fill and rng.random() < 0.5
            self._chord(song, at + start, length, degree, 0 if sustained else figure, 62 * loudness)
        if fill:
            for k in range(int(rng.integers(3, 8))):
                pitch = self._pitch(k + int(rng.integers(-1, 2)), 60)
                self._add(song, at + end - 2 + k * 0.25, 0.3, pitch, 58 * loudness, 2)
        if letter.isupper():
            self._sing(song, phrase, at, loudness)
        self._strings(song, phrase, letter, at, loudness)

    def _sing(self, song: Song, phrase: Phrase, at: float, loudness: float) -> None:
        """Add the melody, now and then with a pickup and a varied ending."""
        rng, beats = self._rng, self._beats
        end = phrase.bars * beats
        pickup = rng.random() < 0.3 and at > beats
        if pickup:
            for k in range(int(rng.integers(1, 4))):
                step = phrase.melody[0][2] - k if phrase.melody else 0
                self._add(song, at - 0.5 * (k + 1), 0.45, self._pitch(step, self._sung_low), 84, 0)
        varied_from = end - beats * 2 if rng.random() < 0.5 else end
        for start, length, step in phrase.melody:
            varied = step + (int(rng.choice([-2, 1, 2])) if start >= varied_from and rng.random() < 0.5 else 0)
            if rng.random() < 0.97:
                self._add(song, at + start, length, self._pitch(varied, self._sung_low), 88 * loudness, 0)

    def _chord(self, song: Song, at: float, length: float, degree: int, figure: int, velocity: float) -> None:
        """Add a chord of the piano.

        figure: 0 sustained, 1 on every beat, 2 eighths up, 3 eighths up and down, 4 off-beats, 5 sixteenths.
        """
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

    def _strings(self, song: Song, phrase: Phrase, letter: str, at: float, loudness: float) -> None:
        """Add the strings of a phrase: 0 none, 1 sustained chords, 2 fills, 3 a line parallel to the melody."""
        if phrase.strings == 1:
            for start, length, degree in phrase.chords:
                for tone in (degree, degree + 2):
                    self._add(song, at + start, length, self._pitch(tone, 60), 50 * loudness, 1)
        elif phrase.strings == 2:
            for start, length, degree in phrase.chords[3::4]:
                for k in range(4):
                    self._add(
                        song, at + start + k * length / 4, length / 4, self._pitch(degree + k, 67), 58 * loudness, 1
                    )
        elif phrase.strings == 3:
            octave = 60 if letter.isupper() else 67
            thinner = 2 if letter.isupper() else 1
            for start, length, step in phrase.melody[::thinner]:
                self._add(song, at + start, length * thinner, self._pitch(step + 2, octave), 62 * loudness, 1)
