"""Makes the events of the stream as a whole: start, gaps, titles, loss and return of the source, stop."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from streamseg.blocks import GapCause, SourceAvailabilityChange, Title
from streamseg.engine.boundaries.feedback import FeedbackModel
from streamseg.engine.models.weights import BoundaryModel, LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.timeline import Timeline
from streamseg.settings import Settings, hash_settings
from streamseg.wire.events import (
    Event,
    StreamGap,
    StreamLost,
    StreamResumed,
    StreamStarted,
    StreamStopped,
    StreamTitle,
)

_SUBJECT = "stream"


class StreamConfiguration(NamedTuple):
    """Everything, apart from the samples, that determines a stream's events: settings, models, named sounds, feedback.

    source: name of the source. sample_rate: of the source, Hz. model: of the boundary classifier. feedback: what was
    learned from listeners, None for nothing.
    """

    source: str
    sample_rate: int
    settings: Settings
    model: BoundaryModel
    label_model: LabelModel
    named_sounds: NamedSounds
    feedback: FeedbackModel | None


def make_stream_started(configuration: StreamConfiguration, channels: int) -> Event:
    """Make the event `stream.started`, with settings and with hashes of settings, models, named sounds and feedback."""
    data = StreamStarted(
        sample_rate=configuration.sample_rate,
        channels=channels,
        source=configuration.source,
        profile=configuration.settings.profile,
        settings=msgspec.to_builtins(configuration.settings),
        latency_s=configuration.settings.lookahead_s,
        hashes={
            "settings": hash_settings(configuration.settings),
            "model": configuration.model.hash,
            "label_model": configuration.label_model.hash,
            "memory": configuration.named_sounds.hash,
            "lessons": configuration.feedback.hash if configuration.feedback else "none",
        },
    )
    return Event(_SUBJECT, data)


def make_source_event(item: Title | SourceAvailabilityChange, t: float) -> Event:
    """Make the event `stream.title`, `stream.lost` or `stream.resumed` for an item of the source. t: stream seconds."""
    match item:
        case Title(title=title):
            return Event(_SUBJECT, StreamTitle(t=t, title=title))
        case SourceAvailabilityChange(reason=reason, back=False):
            return Event(_SUBJECT, StreamLost(t=t, reason=reason))
        case SourceAvailabilityChange(away_s=away_s):
            return Event(_SUBJECT, StreamResumed(t=t, away_s=away_s))


def make_stream_gap(t: float, missing_s: float, cause: GapCause) -> Event:
    """Make the event `stream.gap`: `missing_s` seconds of sound are missing, starting at t, in stream seconds."""
    return Event(_SUBJECT, StreamGap(t=t, missing_s=round(missing_s, 6), cause=cause))


def make_stream_stopped(timeline: Timeline, boundaries_confirmed: int, reason: str) -> Event:
    """Make the event `stream.stopped` with its reason and the totals: seconds received and missing, boundaries."""
    totals = {
        "heard_s": timeline.received_s,
        "missing_s": timeline.missing_s,
        "boundaries": float(boundaries_confirmed),
    }
    return Event(_SUBJECT, StreamStopped(t=timeline.now, reason=reason, totals=totals))
