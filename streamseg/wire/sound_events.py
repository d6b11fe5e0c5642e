"""Events about the sound itself: speech, music and silence, alarms, levels, and novelty."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import msgspec

from streamseg.wire.event_data import EventData

AlarmKind: TypeAlias = Literal["silence", "clipping", "mono", "frozen"]


class SoundConfidence(msgspec.Struct, frozen=True, kw_only=True):
    """The probabilities of speech, music and silence, each 0 to 1 and independent of the others."""

    speech: float
    music: float
    silence: float


class SoundChanged(EventData, frozen=True, kw_only=True):
    """Speech, music or silence began or ended at stream time `t`, in seconds.

    speech, music, silence: whether each is present from then on; speech over music is both. decided_t: stream seconds
    of the last sample that the decision used.
    """

    type: ClassVar[str] = "streamseg.sound.changed.v1"
    t: float
    decided_t: float
    speech: bool
    music: bool
    silence: bool
    confidence: SoundConfidence


class AlarmRaised(EventData, frozen=True, kw_only=True):
    """A fault of the sound began: silence, clipping, both channels the same (`mono`), or a frozen sound.

    since: stream seconds at which it began. level_db: mean level, dB of full scale; None where it is not measured.
    """

    type: ClassVar[str] = "streamseg.alarm.raised.v1"
    alarm: AlarmKind
    since: float
    level_db: float | None


class AlarmCleared(EventData, frozen=True, kw_only=True):
    """A fault of the sound ended. since: stream seconds at which it began. level_db: as in `AlarmRaised`."""

    type: ClassVar[str] = "streamseg.alarm.cleared.v1"
    alarm: AlarmKind
    since: float
    level_db: float | None


class AlarmAcknowledged(EventData, frozen=True, kw_only=True):
    """A client acknowledged the alarm `alarm`. by: the client's own name."""

    type: ClassVar[str] = "streamseg.alarm.acknowledged.v1"
    alarm: AlarmKind
    by: str


class MeterReading(EventData, frozen=True, kw_only=True):
    """Levels, pitch, tempo and key at stream time `t`. A value that cannot be measured is None.

    Sent only to clients that subscribe to `meter`, at most ten times a second. rms_db, peak_db: dB of full scale.
    """

    type: ClassVar[str] = "streamseg.meter.v1"
    high_volume: ClassVar[bool] = True
    t: float
    rms_db: float | None
    peak_db: float | None
    momentary_lufs: float | None = None
    short_term_lufs: float | None = None
    pitch_hz: float | None = None
    tempo_bpm: float | None = None
    key: str | None = None


class Novelty(EventData, frozen=True, kw_only=True):
    """How much the seconds just before stream time `t` differ from the earlier ones, and the open section's label.

    Sent only to clients that subscribe to `novelty`, at most five times a second. value: a distance, 0 or more; at most
    boundaries it is above `threshold`. label: None where it is not estimated yet.
    """

    type: ClassVar[str] = "streamseg.novelty.v1"
    high_volume: ClassVar[bool] = True
    t: float
    value: float
    threshold: float
    label: str | None
    label_probabilities: dict[str, float]
