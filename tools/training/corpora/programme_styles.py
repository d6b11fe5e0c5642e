"""The proportions of generated programmes: as broadcast, and for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ProgrammeStyle:
    """The proportions of programmes.

    odds: relative frequency of each kind of scene. scene_s: range of the length of talk and music. ducked_db: range of
    the level of music below the talk over it. room_share, room_db: share of the talk with noise behind it, and the
    range of its level below the talk. tune_share: share of the music that is synthesised. is_degraded: whether the
    sound is degraded as by a broadcast chain. If there are scores: accompaniment_share: share of the music that is
    rendered as an accompaniment of sung music is; sung_bed_share: share of the talk over music whose music is sung;
    respoken_share: share of the utterances that are spoken at another rate and pitch by the vocoder that sings.
    """

    odds: dict[str, float]
    scene_s: tuple[float, float]
    ducked_db: tuple[float, float]
    room_share: float
    room_db: tuple[float, float]
    tune_share: float = 0.0
    is_degraded: bool = False
    accompaniment_share: float = 0.0
    sung_bed_share: float = 0.0
    respoken_share: float = 0.0


BROADCAST_STYLE: Final = ProgrammeStyle(
    {"speech": 8.0, "music": 6.0, "jingle": 2.0, "noise": 2.0, "silence": 1.5, "speech_over_music": 2.5},
    scene_s=(12.0, 80.0),
    ducked_db=(8.0, 17.0),
    room_share=0.15,
    room_db=(15.0, 40.0),
)
TRAINING_STYLE: Final = ProgrammeStyle(
    {
        "speech": 6.0,
        "music": 5.0,
        "sung_music": 6.0,
        "jingle": 3.0,
        "noise": 4.0,
        "silence": 1.0,
        "speech_over_music": 6.0,
    },
    scene_s=(4.0, 28.0),
    ducked_db=(3.0, 21.0),
    room_share=0.4,
    room_db=(6.0, 40.0),
    tune_share=0.2,
    is_degraded=True,
    accompaniment_share=0.2,
    sung_bed_share=0.25,
    respoken_share=0.2,
)
