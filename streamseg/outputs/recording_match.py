"""Checks that events are those of a sound file, by file name, duration and sample rate."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from streamseg.errors import UsageError

if TYPE_CHECKING:
    from streamseg.blocks import Source
    from streamseg.outputs import Recording

_TOLERANCE_S: Final = 0.5  # another encoding of a sound is longer or shorter by its encoder's delay
_NOT_FILE_NAMES: Final = ("mic", "-", "stream")


def check_events_match_sound(recording: Recording, sound: Path, source: Source) -> None:
    """Read `source` to its end; raise UsageError, which lists every difference, if the events do not fit the sound.

    recording: collected from the events. sound: the path of the sound file. source: opened on that file; it is read to
    its end, since declared durations are not reliable, and what it raises is raised.
    """
    length_s, sample_rate = _measure_duration(source)
    differences = []
    file_name = PurePath(recording.audio.replace("\\", "/")).name
    if _is_file(recording.audio) and PurePath(file_name).stem.casefold() != sound.stem.casefold():
        differences.append(f"they are of {file_name!r}")
    if recording.stop is not None:
        t, reason = recording.stop
        if abs(t - length_s) > _TOLERANCE_S if reason == "end" else t > length_s + _TOLERANCE_S:
            differences.append(f"they go to {t:.2f} s, the sound to {length_s:.2f} s")
    last = max(section.end for section in recording.sections)
    if last > length_s + _TOLERANCE_S and not any("they go to" in each for each in differences):
        differences.append(f"their last section ends at {last:.2f} s, the sound at {length_s:.2f} s")
    if recording.sample_rate is not None and recording.sample_rate != sample_rate:
        differences.append(f"they are of {recording.sample_rate} Hz, the sound of {sample_rate} Hz")
    if differences:
        raise UsageError(
            f"these are not the events of {sound}: {'; '.join(differences)}; "
            "analyze it first, or cut it nevertheless with --force"
        )


def _is_file(audio: str) -> bool:
    return audio not in _NOT_FILE_NAMES and not audio.startswith("mic:")


def _measure_duration(source: Source) -> tuple[float, int]:
    """Read a source to its end; returns its duration in seconds, gaps included, and its sample rate in Hz."""
    from streamseg.blocks import Block, Gap
    from streamseg.errors import TruncatedSourceError

    samples = sample_rate = 0
    try:
        for item in source:
            if isinstance(item, Block):
                samples += len(item.samples)
                sample_rate = sample_rate or item.sample_rate
            elif isinstance(item, Gap):
                samples += item.missing_samples
    except TruncatedSourceError:  # the sound before the cut can be split
        if not sample_rate:
            raise
    return samples / sample_rate if sample_rate else 0.0, sample_rate
