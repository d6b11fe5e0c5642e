"""Random band arrangements of a score: drums, bass, guitars, pads and a singer over the harmony of its piano.

Each label of the score has layers of its own (with some probability those of the whole song). Sometimes a layer enters
within a section, and fills and crashes occur at some boundaries and elsewhere. As in recordings, the features that
separate sections differ between songs, and not every change is a boundary.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np

from streamseg.evaluation.annotations import LabelledSpan
from tools.training.corpora.scores import DRUMS, Score, ScorePart
from tools.training.corpora.singing import SungTone

# General MIDI programs.
BASSES = (32, 33, 34, 35, 36, 38, 39)
GUITARS = (24, 25, 26, 27, 28)
DISTORTED = (29, 30, 30, 29, 31)
KEYS = (0, 0, 0, 1, 2, 4, 5, 7, 16, 17, 18, 19, 6)
PADS = (48, 49, 50, 51, 88, 89, 90, 91, 92, 94, 95, 52)
SOLOS = (56, 57, 64, 65, 66, 40, 41, 42, 68, 69, 71, 72, 73, 22, 11, 80, 81, 84, 85, 27, 29, 30, 104, 105, 21, 75)
VOICES = (52, 53, 54, 85, 65, 40, 73, 64, 71, 68, 81, 56)
_DRUM_KITS = (0, 8, 16, 24, 25, 32, 40)
_KICK, _HAT, _OPEN_HAT, _CRASH, _RIDE, _SNARES, _TOMS = 36, 42, 46, 49, 51, (38, 40, 37, 39), (50, 48, 47, 45, 43, 41)
_TOLERANCE_S = 0.3  # between a bar line and the edge of a section at it


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers that play. drums: 0 none to 5 ride; guitar: 0 none, 1 strummed, 2 picked, 3 and 4 power chords."""

    drums: int
    bass: bool
    guitar: int
    pad: bool
    piano: bool
    doubled: bool
    loudness: float = 1.0
    busy: float = 0.5


class Arranger:
    """Arranges one score at random."""

    def __init__(self, score: Score, rng: np.random.Generator) -> None:
        self._score, self._rng = score, rng
        self._starts = [span.start for span in score.sections]
        drums = int(rng.integers(1, 6)) if rng.random() < 0.93 else 0
        song = Layers(drums, rng.random() < 0.93, int(rng.integers(0, 5)), *(rng.random(3) < (0.4, 0.6, 0.2)))
        varied = float(rng.uniform(0.1, 0.7))
        labels = {label: self._of_label(label, song, varied) for label in sorted({s.label for s in score.sections})}
        self.layers = [self._of_section(labels[span.label]) for span in score.sections]
        self._late = [self._entering(layers) if rng.random() < 0.15 else layers for layers in self.layers]
        self._snare = int(rng.choice(_SNARES))
        self._kicks = [{0, *rng.choice(range(2, 8), rng.integers(1, 4), replace=False)} for _ in range(3)]
        self._fill, self._crash, self._stop = (
            rng.uniform(0.1, 0.9),
            rng.uniform(0.1, 0.9),
            float(rng.choice([0, 0, 0, 0.15])),
        )
        self._stray_fill, self._swing = rng.uniform(0, 0.1), rng.choice([0, 0, 0, 0.16])
        self._eighths, self._bass_figure = rng.random() < 0.7, int(rng.integers(0, 4))
        self._parts: dict[str, list[SungTone]] = {name: [] for name in ("drums", "bass", "guitar", "power", "pad")}

    def section_at(self, t: float) -> int:
        """Return the index of the section at t seconds."""
        return max(0, bisect_right(self._starts, t + 1e-3) - 1)

    def make_voice(self) -> list[SungTone]:
        """Return the sung part of the melody."""
        return [tone for tone in self._score.melody if self._at(tone).label.isupper()]

    def make_doubling(self) -> list[SungTone]:
        """Make a second voice, a third, a fourth or an octave away, for the sections that have one."""
        rng = self._rng
        return [
            replace(tone, pitch=tone.pitch + int(rng.choice([3, 4, -5, 12, 0])), velocity=0.7 * tone.velocity)
            for tone in self.make_voice()
            if self.layers[self.section_at(tone.start)].doubled
        ]

    def make_backing(self) -> list[ScorePart]:
        """Make all parts but the singer's."""
        score, rng = self._score, self._rng
        bars = [bar for bar in score.bars if bar < score.end_s] + [score.end_s]
        for start, end in itertools.pairwise(bars):
            self._add_bar(start, end)
        piano = [
            replace(tone, velocity=0.85 * tone.velocity * self.layers[self.section_at(tone.start)].loudness)
            for tone in score.piano
            if self.layers[self.section_at(tone.start)].piano
        ]
        solo = [tone for tone in score.melody if not self._at(tone).label.isupper()]
        answers = score.bridge if rng.random() < 0.7 else []
        return [
            (DRUMS, int(rng.choice(_DRUM_KITS)), self._parts["drums"]),
            (0, int(rng.choice(BASSES)), self._parts["bass"]),
            (1, int(rng.choice(GUITARS)), self._parts["guitar"]),
            (2, int(rng.choice(DISTORTED)), self._parts["power"]),
            (3, int(rng.choice(PADS)), self._parts["pad"]),
            (4, int(rng.choice(KEYS)), piano),
            (5, int(rng.choice(SOLOS)), solo),
            (7, int(rng.choice(SOLOS)), [replace(tone, velocity=0.8 * tone.velocity) for tone in answers]),
        ]

    def _at(self, tone: SungTone) -> LabelledSpan:
        return self._score.sections[self.section_at(tone.start)]

    def _of_label(self, label: str, song: Layers, varied: float) -> Layers:
        rng = self._rng
        silent = not label.isupper()
        drums = int(rng.choice([0, 0, 1, 2, song.drums])) if silent else int(rng.integers(0, 6))
        bass = rng.random() < 0.6 if rng.random() < 0.5 * varied else song.bass
        guitar = int(rng.integers(0, 5)) if rng.random() < varied else song.guitar
        pad, piano, doubled = (
            rng.random() < 0.5 if rng.random() < varied else usual for usual in (song.pad, song.piano, song.doubled)
        )
        loudness, busy = float(rng.normal(1, 0.1)), float(rng.random())
        drums = drums if rng.random() < varied else song.drums
        return Layers(drums, bass, guitar, pad, piano, doubled, loudness, busy)

    def _of_section(self, layers: Layers) -> Layers:
        """Return the layers of a label, sometimes with one of them changed."""
        rng = self._rng
        flips = {name: not getattr(layers, name) for name in ("pad", "piano", "doubled", "bass") if rng.random() < 0.08}
        drums = int(rng.integers(0, 6)) if rng.random() < 0.08 else layers.drums
        return replace(layers, drums=drums, **flips)

    def _entering(self, layers: Layers) -> Layers:
        """Change one layer, as from the middle of a section on."""
        rng = self._rng
        match rng.integers(3):
            case 0:
                return replace(layers, drums=int(rng.integers(0, 5)))
            case 1:
                return replace(layers, pad=not layers.pad)
            case _:
                return replace(layers, guitar=int(rng.integers(0, 5)))

    def _add_bar(self, start: float, end: float) -> None:
        """Add one bar of all parts."""
        rng, number = self._rng, self.section_at(start + 0.05)
        span = self._score.sections[number]
        late = start - span.start > 0.45 * (span.end - span.start)
        layers = (self._late if late else self.layers)[number]
        last = abs(end - span.end) < _TOLERANCE_S and number < len(self._score.sections) - 1
        fill = (last and rng.random() < self._fill) or rng.random() < self._stray_fill
        stop = last and rng.random() < self._stop
        first = abs(start - span.start) < _TOLERANCE_S
        if layers.drums:
            self._drum_bar(start, (end - start) / 8, layers, first=first, fill=fill, stop=stop)
        for half in (0, 4):
            if not (stop and half == 4):
                self._harmony(start + half * (end - start) / 8, (end - start) / 8, layers)

    def _add(self, part: str, start: float, length: float, pitch: int, velocity: float) -> None:
        self._parts[part].append(SungTone(start, start + length, pitch, velocity + self._rng.normal(0, 5)))

    def _drum_bar(self, start: float, step: float, layers: Layers, *, first: bool, fill: bool, stop: bool) -> None:
        rng, loud = self._rng, layers.loudness
        until = 4 if stop else 4 + 2 * int(rng.integers(0, 2)) if fill else 8
        if first and layers.drums > 1 and rng.random() < self._crash:
            self._add("drums", start, 1.0, _CRASH, 100 * loud)
        for q in range(until):
            at = start + step * (q + (self._swing if q % 2 else 0))
            beats = self._eighths or q % 2 == 0
            if layers.drums in (1, 3, 4) and beats:
                self._add("drums", at, 0.1, _HAT, (55 if q % 2 else 75) * loud)
            if layers.drums == 5 and beats:
                self._add("drums", at, 0.3, _RIDE if layers.busy > 0.5 else _OPEN_HAT, 80 * loud)
            if layers.drums >= 2 and q in self._kicks[layers.drums % 3]:
                self._add("drums", at, 0.2, _KICK, 105 * loud)
            if layers.drums >= 3 and q in (2, 6):
                self._add("drums", at, 0.2, self._snare, 100 * loud)
        if fill and not stop:
            pieces, hits = _TOMS if rng.random() < 0.6 else (self._snare,) * 6, 2 * (8 - until)
            for k in range(hits):
                self._add("drums", start + step * (until + k / 2), 0.1, pieces[min(5, 6 * k // hits)], 85 + 3 * k)

    def _harmony(self, start: float, step: float, layers: Layers) -> None:
        """Add half a bar of bass, guitars and pad, with the chord of the piano."""
        end = start + 4 * step
        sounding = [tone.pitch for tone in self._score.piano if tone.start < end - 0.05 and tone.end > start + 0.05]
        if not sounding:
            return
        root, loud = min(sounding) % 12, layers.loudness
        chord = [48 + pitch for pitch in sorted({pitch % 12 for pitch in sounding})[:5]]
        if layers.bass:
            low = 28 + (root - 4) % 12
            figures: list[list[tuple[float, int, float]]] = [
                [(0, 0, 4)],
                [(q, 0, 0.9) for q in range(4)],
                [(0, 0, 1.4), (1.5, 0, 0.4), (2, 7, 0.9), (3, 12, 0.9)],
                [(0, 0, 1.8), (2, 12 if layers.busy > 0.5 else 0, 1.8)],
            ]
            for q, up, length in figures[self._bass_figure]:
                self._add("bass", start + q * step, length * step, low + up, 93 * loud)
        if layers.guitar == 1:
            for q in (0, 2) if layers.busy < 0.5 else range(4):
                for k, pitch in enumerate(chord):
                    self._add("guitar", start + q * step + 0.012 * k, 1.7 * step, pitch, 72 * loud)
        elif layers.guitar == 2:
            ladder = [40 + (root - 4) % 12, *chord]
            for q in range(4):
                self._add("guitar", start + q * step, 1.5 * step, ladder[q % len(ladder)] + 12 * (q > 1), 72 * loud)
        elif layers.guitar:
            for q in (0,) if layers.guitar == 3 else range(4):
                for up in (0, 7, 12):
                    length = 4.0 if layers.guitar == 3 else 0.6
                    self._add("power", start + q * step, length * step, 40 + (root - 4) % 12 + up, 90 * loud)
        if layers.pad:
            for pitch in chord[:4]:
                self._add("pad", start, 4 * step, pitch + 12, 60 * loud)
