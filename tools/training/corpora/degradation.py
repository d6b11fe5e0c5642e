"""Degradations of a broadcast chain: level, equalisation, band limits, rooms, compression, low bit rates.

Each function takes and returns mono sound at ENGINE_RATE, shape (n,), and keeps its length, so the annotation holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from streamseg.blocks import Block
from streamseg.engine.features.mono import resample_to_mono
from streamseg.settings import ENGINE_RATE
from tools.training.corpora import noises

Signal = NDArray[np.float32]

# Container, codec and the sample rates it takes.
CODECS: Final = {
    "mp3": ("mp3", "libmp3lame", (22_050, 44_100)),
    "opus": ("ogg", "libopus", (24_000, 48_000)),
    "aac": ("adts", "aac", (22_050, 44_100)),
}
_LOUDEST = 0.99


def apply_codec(sound: Signal, codec: str, kbit_s: int, rate: int | None = None) -> Signal:
    """Encode and decode the sound with a lossy codec, and align the result with the original."""
    container_format, name, rates = CODECS[codec]
    rate = rate or rates[0]
    buffer = BytesIO()
    with av.open(buffer, "w", format=container_format) as container:
        stream = cast(AudioStream, container.add_stream(name, rate=rate, layout="mono"))
        stream.bit_rate = 1000 * kbit_s
        frame = av.AudioFrame.from_ndarray(np.clip(sound, -1, 1)[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = ENGINE_RATE
        converter = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        fifo = av.AudioFifo()
        for piece in [*converter.resample(frame), *converter.resample(None)]:
            piece.pts = None
            fifo.write(piece)
        for piece in fifo.read_many(stream.codec_context.frame_size or 1024, partial=True):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    buffer.seek(0)
    decoded = np.concatenate([np.zeros(0, np.float32), *resample_to_mono(_decode_buffer(buffer))])
    return _align(decoded, sound)


def _decode_buffer(buffer: BytesIO) -> Iterator[Block]:
    converter = av.AudioResampler(format="flt", layout="mono")
    with cast(InputContainer, av.open(buffer)) as container:
        for frame in container.decode(audio=0):
            for piece in converter.resample(frame):
                yield Block(piece.to_ndarray().reshape(-1, 1).astype(np.float32), frame.sample_rate)


def _align(late: Signal, sound: Signal) -> Signal:
    """Remove the codec's delay, found by cross-correlation, and cut to the length of `sound`."""
    n = min(len(sound), 20 * ENGINE_RATE)
    at = int(np.argmax(np.abs(sound))) if len(sound) > n else 0
    at = max(0, min(at - n // 2, len(sound) - n))
    max_delay = 4_096
    piece = late[at : at + n + max_delay]
    size = 1 << (len(piece) + n).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(piece, size) * np.conj(np.fft.rfft(sound[at : at + n], size)), size)
    delay = int(np.argmax(correlation[:max_delay]))
    aligned = late[delay : delay + len(sound)]
    return np.pad(aligned, (0, len(sound) - len(aligned)))


def equalise(sound: Signal, rng: np.random.Generator, spread_db: float = 4.0) -> Signal:
    """Filter with a smooth random frequency response."""
    points = np.log2([20, 60, 150, 400, 1000, 2500, 6000, 12_000])
    gains_db = rng.normal(0, spread_db, len(points))
    return _apply_gain(sound, lambda octaves: 10 ** (np.interp(octaves, points, gains_db) / 20))


def band_limit(sound: Signal, low_hz: float, high_hz: float) -> Signal:
    """Filter with a band-pass between two frequencies."""
    low, high = np.log2(low_hz), np.log2(high_hz)
    return _apply_gain(sound, lambda octaves: np.clip(1 + 4 * np.minimum(octaves - low, high - octaves), 0, 1))


def _apply_gain(sound: Signal, gain: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Signal:
    """Filter with a gain, given as a function of octaves above 1 Hz."""
    size = 1 << len(sound).bit_length()
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / ENGINE_RATE), 1.0))
    return np.fft.irfft(np.fft.rfft(sound, size) * gain(octaves), size)[: len(sound)].astype(np.float32)


def add_reverberation(sound: Signal, rng: np.random.Generator) -> Signal:
    """Add the reverberation of a room: the direct sound, and noise that decays within 0.15 to 0.9 s."""
    seconds = rng.uniform(0.15, 0.9)
    t = noises.sample_times(seconds)
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / seconds)
    tail *= 10 ** (-rng.uniform(2, 15) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    size = 1 << (len(sound) + len(tail)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)
    return wet[: len(sound)].astype(np.float32)


def compress(sound: Signal, rng: np.random.Generator) -> Signal:
    """Compress the dynamic range above a random threshold, and restore the standard deviation."""
    piece = ENGINE_RATE // 50
    levels = np.sqrt(np.mean(np.resize(sound, (max(1, len(sound) // piece), piece)) ** 2, axis=1) + 1e-12)
    release = np.exp(-1 / (rng.uniform(0.1, 0.6) * 50))
    envelope = np.empty_like(levels)
    state = levels[0]
    for i, level in enumerate(levels):
        state = max(level, state * release)
        envelope[i] = state
    threshold, ratio = 10 ** (rng.uniform(-38, -26) / 20), rng.uniform(1.5, 5)
    gain = np.minimum(1.0, (envelope / threshold) ** (1 / ratio - 1))
    curve = np.interp(np.arange(len(sound)), np.arange(len(gain)) * piece, gain)
    out = sound * curve
    makeup_gain = float(np.std(sound)) / max(1e-9, float(np.std(out)))
    loud: Signal = np.clip(out * makeup_gain, -_LOUDEST, _LOUDEST).astype(np.float32)
    return loud


def degrade(sound: Signal, rng: np.random.Generator) -> Signal:
    """Apply a random chain of degradations, as of a broadcast receiver; often nearly none."""
    if rng.random() < 0.3:
        sound = compress(sound, rng)
    if rng.random() < 0.5:
        sound = equalise(sound, rng, rng.uniform(1, 5))
    if rng.random() < 0.2:
        sound = add_reverberation(sound, rng)
    if rng.random() < 0.25:
        sound = band_limit(sound, float(rng.choice([30, 80, 200, 300])), float(rng.choice([3400, 4500, 5500, 7500])))
    sound = np.clip(sound * 10 ** (rng.normal(0, 4) / 20), -_LOUDEST, _LOUDEST).astype(np.float32)
    if rng.random() < 0.35:
        codec = str(rng.choice(sorted(CODECS)))
        sound = apply_codec(sound, codec, int(rng.choice([32, 48, 64])))
    return sound
