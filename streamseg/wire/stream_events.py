"""Events about the stream as a whole: start, end, missing sound, titles, and whether the history records it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from streamseg.wire.event_data import EventData


class StreamStarted(EventData, frozen=True, kw_only=True):
    """The stream started: its first sample arrived.

    settings: every setting by name. hashes: of the settings, the model, the memory of named sounds and the feedback.
    latency_s: median seconds from a boundary to its confirmation (the setting `lookahead_s`).
    """

    type: ClassVar[str] = "streamseg.stream.started.v1"
    sample_rate: int
    channels: int
    source: str
    profile: str
    settings: dict[str, Any]
    latency_s: float
    hashes: dict[str, str]


class StreamGap(EventData, frozen=True, kw_only=True):
    """Samples are missing from stream time `t` on, for `missing_s` seconds; stream time advances by as much."""

    type: ClassVar[str] = "streamseg.stream.gap.v1"
    t: float
    missing_s: float
    cause: Literal["overflow", "device-lost", "network", "stalled"]


class StreamLost(EventData, frozen=True, kw_only=True):
    """The source stopped delivering samples at stream time `t`; streamseg tries to open it again."""

    type: ClassVar[str] = "streamseg.stream.lost.v1"
    t: float
    reason: str


class StreamResumed(EventData, frozen=True, kw_only=True):
    """The source delivers samples again at stream time `t`, after it delivered none for `away_s` seconds."""

    type: ClassVar[str] = "streamseg.stream.resumed.v1"
    t: float
    away_s: float


class StreamStopped(EventData, frozen=True, kw_only=True):
    """The stream ended at stream time `t`; this is the last event of its epoch.

    reason: `interrupted` where a crash ended it. totals: seconds of processed (`heard_s`) and of missing sound
    (`missing_s`), and the number of confirmed boundaries.
    """

    type: ClassVar[str] = "streamseg.stream.stopped.v1"
    t: float
    reason: str
    totals: dict[str, float]


class StreamTitle(EventData, frozen=True, kw_only=True):
    """The station announced the title `title` at stream time `t`."""

    type: ClassVar[str] = "streamseg.stream.title.v1"
    t: float
    title: str


class HistoryFailed(EventData, frozen=True, kw_only=True):
    """The history cannot be written since `since` (RFC 3339); events are still sent live. reason: for a person."""

    type: ClassVar[str] = "streamseg.history.failed.v1"
    reason: str
    since: str


class HistoryRestored(EventData, frozen=True, kw_only=True):
    """The history is written again. reason, since: those of the failure (`HistoryFailed`)."""

    type: ClassVar[str] = "streamseg.history.restored.v1"
    reason: str
    since: str
