"""Deterministic test sound, written in the formats that users have."""

import av
import numpy as np
import soundfile
from av.audio.frame import AudioFrame

RATE = 44_100

# what a user may bring, and who writes it here: FFmpeg's encoders, and libsndfile where the wheel has none
CODECS = {
    "wav": "pcm_s16le",
    "w64": "pcm_s16le",
    "aiff": "pcm_s16be",
    "flac": "flac",
    "mp3": "libmp3lame",
    "m4a": "aac",
    "aac": "aac",
    "opus": "libopus",
    "ogg": None,
}


def pulsed_noise(seconds=4.0, rate=RATE, channels=2, seed=7):
    """Make noise in pulses with a tone below it, which differs from itself at every other time.

    float32, shape (n, channels).
    """
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    envelope = 0.55 + 0.45 * np.sign(np.sin(2 * np.pi * 2.3 * t))
    noise = rng.standard_normal((len(t), channels)) * 0.12 * envelope[:, None]
    return (noise + 0.1 * np.sin(2 * np.pi * 330 * t)[:, None]).astype(np.float32)


def write(path, samples, rate=RATE, **options):
    """Write float32 samples, shape (n, channels), in the format of the name's ending.

    options: FFmpeg's, of the container (`write_xing="0"`).
    """
    codec = CODECS[path.suffix[1:]]
    if codec is None:
        with soundfile.SoundFile(path, "w", rate, samples.shape[1], format="OGG", subtype="VORBIS") as file:
            for start in range(0, len(samples), rate):  # libsndfile overflows its stack on long single writes
                file.write(samples[start : start + rate])
        return path
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(str(path), "w", options={k: str(v) for k, v in options.items()}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path, fraction=0.6):
    """Write the file cut short, as NAME with the prefix `cut-`, and return its path."""
    data = path.read_bytes()
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(data[: int(len(data) * fraction) + 77])
    return shorter
