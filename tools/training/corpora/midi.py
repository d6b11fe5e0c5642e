"""MIDI files made of timed messages, and their sound as FluidSynth plays them.

Needs the program `fluidsynth` and the packages `mido` and `soundfile`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import mido
import soundfile
from numpy import float32
from numpy.typing import NDArray

from tools.training.corpora import SAMPLE_RATE

TimedMessage: TypeAlias = tuple[int, int, mido.Message]  # tick, rank among messages of one tick, message


def make_midi(messages: Iterable[TimedMessage], ticks_per_beat: int, tempo: int) -> mido.MidiFile:
    """Make a MIDI file of one track.

    tempo: microseconds per beat.
    """
    track, now = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)]), 0
    for tick, _, message in sorted(messages, key=lambda timed: timed[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    return mido.MidiFile(ticks_per_beat=ticks_per_beat, tracks=[track])


def play_midi(midi: mido.MidiFile, soundfont: Path, *options: str) -> NDArray[float32]:
    """Render a MIDI file with FluidSynth; mono at SAMPLE_RATE, shape (n,)."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "score.mid"), Path(folder, "sound.wav")
        midi.save(score)
        program = shutil.which("fluidsynth") or "fluidsynth"
        subprocess.run(
            [program, "-ni", "-q", *options, "-r", str(SAMPLE_RATE), "-F", sound, soundfont, score],
            check=True,
            capture_output=True,
        )
        stereo, _ = soundfile.read(sound, dtype="float32")
    mono: NDArray[float32] = stereo.mean(axis=1)
    return mono
