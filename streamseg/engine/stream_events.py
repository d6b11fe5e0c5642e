"""Makes the events about the stream as a whole: start, gaps, titles, loss and return of the source, stop."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from streamseg.blocks import GapCause, SourceAway, Title
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


class StreamOrigin(NamedTuple):
    """Everything besides the samples that the events of a stream depend on. source: where the samples come from."""

    source: str
    sample_rate: int
    settings: Settings
    model: BoundaryModel
    label_model: LabelModel
    named_sounds: NamedSounds
    feedback: FeedbackModel | None


def make_stream_started(origin: StreamOrigin, channels: int) -> Event:
    """Make the first event of a stream. It names what the stream's events depend on, by hashes."""
    data = StreamStarted(
        sample_rate=origin.sample_rate,
        channels=channels,
        source=origin.source,
        profile=origin.settings.profile,
        settings=msgspec.to_builtins(origin.settings),
        latency_s=origin.settings.lookahead_s,
        hashes={
            "settings": hash_settings(origin.settings),
            "model": origin.model.hash,
            "label_model": origin.label_model.hash,
            "memory": origin.named_sounds.hash,
            "lessons": origin.feedback.hash if origin.feedback else "none",
        },
    )
    return Event(_SUBJECT, data)


def make_source_event(item: Title | SourceAway, t: float) -> Event:
    """Make the event of a title, or of the loss or return of the source, at stream time t."""
    match item:
        case Title(title=title):
            return Event(_SUBJECT, StreamTitle(t=t, title=title))
        case SourceAway(reason=reason, back=False):
            return Event(_SUBJECT, StreamLost(t=t, reason=reason))
        case SourceAway(away_s=away_s):
            return Event(_SUBJECT, StreamResumed(t=t, away_s=away_s))


def make_stream_gap(t: float, missing_s: float, cause: GapCause) -> Event:
    """Make the event of a gap of so many seconds at stream time t."""
    return Event(_SUBJECT, StreamGap(t=t, missing_s=round(missing_s, 6), cause=cause))


def make_stream_stopped(timeline: Timeline, boundaries_confirmed: int, reason: str) -> Event:
    """Make the last event of a stream, with its totals."""
    totals = {
        "heard_s": timeline.received_s,
        "missing_s": timeline.missing_s,
        "boundaries": float(boundaries_confirmed),
    }
    return Event(_SUBJECT, StreamStopped(t=timeline.now, reason=reason, totals=totals))
