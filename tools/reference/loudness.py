"""Loudness compared with FFmpeg's `ebur128`, on ten minutes of stereo at 48 kHz, whose peaks are between samples."""

import av
import numpy as np
import soundfile
import soxr

from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.engine.sections.report import SectionReportBuilder

RATE = 22_050


def ebur128(samples, rate):
    """Measure (integrated, range, true peak) with FFmpeg's filter. Raises ValueError if it returns none."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="stereo", time_base=f"1/{rate}")
    meter = graph.add("ebur128", "metadata=1:peak=true")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    last = {}
    for start in range(0, len(samples), rate):
        part = np.ascontiguousarray(samples[start : start + rate])
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="flt", layout="stereo")
        frame.sample_rate, frame.pts = rate, start
        source.push(frame)
        last = newest_figures(sink) or last
    source.push(None)
    last = newest_figures(sink) or last
    peaks = [float(value) for name, value in last.items() if "true_peaks_ch" in name]
    return float(last["lavfi.r128.I"]), float(last["lavfi.r128.LRA"]), 20 * np.log10(max(peaks))


def newest_figures(sink):
    """Return the newest figures at the filter's output."""
    last = {}
    while True:
        try:
            last = dict(sink.pull().metadata) or last
        except (av.EOFError, av.BlockingIOError):
            return last


def ours(samples, rate):
    """Return the same figures from a section report."""
    reports = SectionReportBuilder(60.0)
    loudness = LoudnessMeter(rate, samples.shape[1])
    for start in range(0, len(samples), rate):
        reports.push_loudness(loudness.push(samples[start : start + rate]))
    report = reports.close_section(0.0, len(samples) / rate)
    return report.integrated_lufs, report.loudness_range_lu, report.true_peak_db


def rows(folder):
    """Measure two minutes of each of five files, one after the other, the right channel softer and later."""
    paths = [*sorted((folder / "mixes").glob("*.ogg"))[:3], *sorted((folder / "broadcast").glob("*.ogg"))[:2]]
    parts = [soundfile.read(path, frames=120 * RATE, dtype="float32", always_2d=True)[0].mean(axis=1) for path in paths]
    mono = soxr.resample(np.concatenate(parts), RATE, 48_000)
    samples = np.stack([mono, 0.8 * np.roll(mono, 24)], axis=1).astype(np.float32)
    for name, mine, theirs in zip(
        ("integrated, LU", "range, LU", "true peak, dB"), ours(samples, 48_000), ebur128(samples, 48_000)
    ):
        yield (
            f"{name}: ours less FFmpeg's, {len(samples) / 48_000 / 60:.0f} minutes",
            f"{mine - theirs:+.2f} ({mine:.2f}, {theirs:.2f})",
        )
