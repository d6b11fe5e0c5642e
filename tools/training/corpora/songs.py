"""Songs with a known form: composed at random and rendered with FluidSynth, with the same timbres throughout a song.

`python -m tools.training.corpora.songs OUT --count 100 --soundfont FluidR3_GM.sf2` writes NAME.ogg with
NAME.sections.tsv (capital letters: sung; small letters: not sung) beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mido
import numpy as np
from numpy.typing import NDArray

from tools.training.corpora import SAMPLE_RATE, write_vorbis
from tools.training.corpora.composer import Composer, Song
from tools.training.corpora.midi import TimedMessage, make_midi, play_midi

_TICKS_A_BEAT = 480


def to_midi(song: Song) -> mido.MidiFile:
    """Convert a song to a MIDI file."""
    messages: list[TimedMessage] = [
        (0, 0, mido.Message("program_change", channel=part, program=program))
        for part, program in enumerate(song.programs)
    ]
    for n in song.notes:
        start, end = round(n.start * _TICKS_A_BEAT), round((n.start + n.length) * _TICKS_A_BEAT)
        messages.append((start, 2, mido.Message("note_on", channel=n.part, note=n.pitch, velocity=n.velocity)))
        messages.append((end, 1, mido.Message("note_off", channel=n.part, note=n.pitch)))
    return make_midi(messages, _TICKS_A_BEAT, mido.bpm2tempo(song.beats_a_minute))


def play_song(song: Song, soundfont: Path) -> NDArray[np.float32]:
    """Render a song; mono at SAMPLE_RATE, shape (n,), with a peak of 0.7."""
    mono = play_midi(to_midi(song), soundfont)[: round(song.n_beats * 60 / song.beats_a_minute * SAMPLE_RATE)]
    return mono * np.float32(0.7 / max(float(np.abs(mono).max()), 1e-6))


def main() -> None:
    """Compose, render and write songs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number and seed of the first song")
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
