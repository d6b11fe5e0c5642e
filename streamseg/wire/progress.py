"""How far the engine has processed a stream: the values that the server shows and sends with heartbeats."""

from __future__ import annotations

import msgspec


class StreamProgress(msgspec.Struct, frozen=True):
    """How far the engine has processed one epoch of a stream.

    t: stream seconds processed. watermark: stream seconds; nothing at or before it changes any more. lag_s: seconds
    that the engine is behind the sound. dropped_samples: samples lost so far, per channel. engine_s: computing time so
    far, in seconds.
    """

    t: float
    watermark: float
    lag_s: float = 0.0
    dropped_samples: int = 0
    engine_s: float = 0.0
