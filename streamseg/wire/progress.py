"""How far a stream has been processed."""

from __future__ import annotations

import msgspec


class StreamProgress(msgspec.Struct, frozen=True):
    """How far a stream has been processed.

    t: stream seconds processed. watermark: stream seconds; nothing at or before it changes any more. lag_s: how far the
    engine is behind the sound. dropped_samples: lost so far, per channel. engine_s: computing time so far, seconds.
    """

    t: float
    watermark: float
    lag_s: float = 0.0
    dropped_samples: int = 0
    engine_s: float = 0.0
