"""Sound of clearly different scenes, and what the engine says of it, for the laws."""

import functools

import numpy as np

from streamseg.engine import Segmenter
from streamseg.settings import make_settings
from streamseg.wire.events import BoundaryConfirmed

QUICK = make_settings("room", lookahead_s=5.0)


def scenes(rate, seconds=(9, 8, 9), channels=1, seed=0):
    """Clearly different scenes: a chord with overtones, noise, a pulsed low tone."""
    rng = np.random.default_rng(seed)
    parts = []
    for kind, length in enumerate(seconds):
        t = np.arange(length * rate) / rate
        if kind % 3 == 0:
            part = sum(np.sin(2 * np.pi * f * k * t) / k for f in (220.0, 277.2, 329.6) for k in (1, 2, 3)) * 0.1
        elif kind % 3 == 1:
            part = rng.normal(0, 0.1, len(t))
        else:
            part = np.sin(2 * np.pi * 110 * t) * (np.sin(2 * np.pi * 3 * t) > 0) * 0.3
        parts.append(part)
    mono = np.concatenate(parts).astype(np.float32)
    return mono if channels == 1 else np.column_stack([mono * (1 - 0.1 * c) for c in range(channels)])


def heard(pieces, rate=22_050, telemetry=True, wanted=QUICK):
    segmenter = Segmenter(wanted, sample_rate=rate, telemetry=telemetry)
    events = [event for piece in pieces for event in segmenter.push(piece)]
    return events + segmenter.finish()


def cut(sound, sizes):
    at, pieces = 0, []
    while at < len(sound):
        for size in sizes:
            pieces.append(sound[at : at + size])
            at += size
    return pieces


SOUND = scenes(22_050)

SOUND_48 = scenes(48_000, channels=2)


@functools.cache
def whole():
    return heard([SOUND])


@functools.cache
def whole_48():
    return heard([SOUND_48], 48_000)


def boundaries(events):
    return [event.data.t for event in events if isinstance(event.data, BoundaryConfirmed)]
