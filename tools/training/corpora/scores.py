"""Annotated scores: MIDI with sections and bar lines, read in seconds and rendered with FluidSynth.

`NAME.mid` has the tracks MELODY, BRIDGE and PIANO. Beside it are `NAME.sections.tsv` (start, end, letter; capital
letters are sung) and `NAME.bars.tsv` (bar lines), in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import mido
import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.annotations import LabelledSpan, read_spans
from tools.training.corpora.midi import TimedMessage, make_midi, play_midi
from tools.training.corpora.singing import SungTone

ScorePart: TypeAlias = tuple[int, int, list[SungTone]]  # MIDI channel, program, notes

DRUMS = 9  # MIDI channel
_TICKS_A_SECOND = 1000
_TEMPO = 500_000  # microseconds a beat


@dataclass(frozen=True, slots=True)
class Score:
    """A score; all times in seconds."""

    melody: list[SungTone]
    bridge: list[SungTone]
    piano: list[SungTone]
    sections: list[LabelledSpan]
    bars: list[float]

    @property
    def end_s(self) -> float:
        """End of the last section or note."""
        return max([self.sections[-1].end, *(tone.end for tone in self.melody + self.bridge + self.piano)])

    def make_variation(self, speed: float, semitones: int) -> Score:
        """Return the score at another speed and pitch."""

        def tones(part: list[SungTone]) -> list[SungTone]:
            return [SungTone(n.start / speed, n.end / speed, n.pitch + semitones, n.velocity) for n in part]

        return Score(
            tones(self.melody),
            tones(self.bridge),
            tones(self.piano),
            [LabelledSpan(span.start / speed, span.end / speed, span.label) for span in self.sections],
            [bar / speed for bar in self.bars],
        )


def read_score(path: Path) -> Score:
    """Read NAME.mid and the annotation beside it."""
    midi = mido.MidiFile(path)
    changes = sorted(
        (tick, message.tempo)
        for track in midi.tracks
        for tick, message in _timed_messages(track)
        if message.type == "set_tempo"
    )
    if not changes or changes[0][0] > 0:
        changes.insert(0, (0, _TEMPO))
    ticks, tempos = np.array([tick for tick, _ in changes]), np.array([tempo for _, tempo in changes], float)
    seconds = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * tempos[:-1] / midi.ticks_per_beat / 1e6)])

    def at(tick: int) -> float:
        k = int(np.searchsorted(ticks, tick, side="right")) - 1
        return float(seconds[k] + (tick - ticks[k]) * tempos[k] / midi.ticks_per_beat / 1e6)

    parts: dict[str, list[SungTone]] = {"MELODY": [], "BRIDGE": [], "PIANO": []}
    for track in midi.tracks:
        sounding: dict[int, list[tuple[int, int]]] = {}
        for tick, message in _timed_messages(track) if track.name in parts else ():
            if message.type == "note_on" and message.velocity > 0:
                sounding.setdefault(message.note, []).append((tick, message.velocity))
            elif message.type in ("note_off", "note_on") and sounding.get(message.note):
                start, velocity = sounding[message.note].pop(0)
                parts[track.name].append(SungTone(at(start), at(tick), message.note, velocity))
    bars = [float(line) for line in path.with_suffix(".bars.tsv").read_text(encoding="utf-8").split()]
    sections = list(read_spans(path.with_suffix(".sections.tsv")))
    return Score(parts["MELODY"], parts["BRIDGE"], parts["PIANO"], sections, bars)


def render_parts(
    parts: list[ScorePart], soundfont: Path, samples: int, rng: np.random.Generator, *, reverb: bool = True
) -> NDArray[np.float32]:
    """Render the parts with FluidSynth, the timing slightly randomised.

    Returns mono at SAMPLE_RATE with a mean power of 1, shape (samples,).
    """
    mono = play_midi(_parts_to_midi(parts, rng), soundfont, "-R", str(int(reverb)), "-C", "0", "-g", "0.6")[:samples]
    return scale_to_unit_power(np.pad(mono, (0, samples - len(mono))))


def scale_to_unit_power(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale the sound to a mean power of 1; silent samples do not count."""
    sounding = sound[np.abs(sound) > 1e-4]
    power = float(np.mean(sounding**2)) if len(sounding) else 1.0
    scaled: NDArray[np.float32] = (sound / np.sqrt(power + 1e-9)).astype(np.float32)
    return scaled


def _timed_messages(track: mido.MidiTrack) -> list[tuple[int, mido.Message]]:
    timed, tick = [], 0
    for message in track:
        tick += message.time
        timed.append((tick, message))
    return timed


def _parts_to_midi(parts: list[ScorePart], rng: np.random.Generator) -> mido.MidiFile:
    messages: list[TimedMessage] = []
    for channel, program, tones in parts:
        messages.append((0, 0, mido.Message("program_change", channel=channel, program=int(program))))
        for tone in tones:
            pitch, velocity = int(np.clip(tone.pitch, 0, 127)), int(np.clip(tone.velocity, 1, 127))
            start = max(0.0, tone.start + rng.normal(0, 0.006))
            begin, end = (round(t * _TICKS_A_SECOND) for t in (start, max(tone.end, start + 0.03)))
            messages.append((begin, 2, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
            messages.append((end, 1, mido.Message("note_off", channel=channel, note=pitch)))
    return make_midi(messages, _TICKS_A_SECOND // 2, _TEMPO)
