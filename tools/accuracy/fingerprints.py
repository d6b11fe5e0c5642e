"""Accuracy of taught jingles in generated programmes: recall, precision, and the error of their times.

    python -m tools.accuracy.fingerprints --packages DIR [--hours 1.5] [--seed 31]

Jingles of 3 to 8 s are cut from tracks, which are then left out, or synthesised. They are taught and mixed into
programmes made of the rest: half of them as they are; a quarter under talk, 12 dB below it; a quarter in programmes
re-encoded at 64 kbit/s. The whole engine analyses the programmes; a jingle is found if a boundary is snapped to it.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from streamseg.engine import segment
from streamseg.engine.fingerprints.fingerprint import make_fingerprint
from streamseg.engine.named_sounds import NamedSound, NamedSounds
from streamseg.settings import ENGINE_RATE, make_settings
from streamseg.wire.events import BoundaryConfirmed
from tools.training.corpora import degradation, noises, programmes
from tools.training.corpora.material import DecodedCache, MaterialCollection
from tools.training.corpora.programmes import make_programme
from tools.training.corpora.scenes import SceneMaker

KINDS = ("plain", "plain", "under talk", "re-encoded")
MATCH_S = 1.0  # maximum error of a found jingle
EXACT_S = 0.1
INTERVAL_S = (14.0, 30.0)  # between jingles
UNDER_TALK_DB = -12.0  # level of a jingle under talk, relative to the talk


@dataclass
class Occurrence:
    name: str
    t: float
    kind: str


def make_melody(rng):
    """Make a jingle of plucked tones, float32 at ENGINE_RATE."""
    seconds = rng.uniform(3.0, 6.0)
    out = np.zeros(noises.sample_count(seconds + 1.0))
    at = 0.0
    while at < seconds - 0.3:
        note = rng.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
        for hz in 262 * 2 ** ((note + np.array([0, 4, 7, 12])[: rng.integers(1, 5)]) / 12):
            t = noises.sample_times(0.9)
            tone = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 9)) * np.exp(-t / rng.uniform(0.1, 0.4))
            start = noises.sample_count(at)
            out[start : start + len(t)] += tone[: len(out) - start]
        at += rng.choice([0.15, 0.2, 0.3, 0.45])
    return (0.2 * noises.normalise_rms(out[: noises.sample_count(seconds)])).astype(np.float32)


def draw_jingles(collection, rng, cache, count):
    """Return (name, sound) of each jingle, and the sources that they are cut from."""
    jingles, sources = [], set()
    tracks = list({clip.source: clip for clip in collection.music}.values())
    for number in range(count):
        if number % 4 == 3:
            jingles.append((f"melody {number}", make_melody(rng)))
            continue
        clip = tracks[rng.integers(len(tracks))]
        tracks.remove(clip)
        sources.add(clip.source)
        whole = cache.get_clip(clip)
        n = noises.sample_count(rng.uniform(3.0, 8.0))
        start = int(rng.integers(len(whole) // 8, len(whole) - n))
        jingles.append((f"{clip.source} {number}", whole[start : start + n].copy()))
    return jingles, sources


def level(sound):
    """Return the RMS of the sound without its pauses."""
    piece = ENGINE_RATE // 10
    powers = np.mean(np.resize(sound, (max(1, len(sound) // piece), piece)) ** 2, axis=1)
    return float(np.sqrt(powers[powers >= 1e-3 * powers.max()].mean())) or 1e-6


def insert_jingles(programme, jingles, rng, reencoded):
    """Return the sound of a programme with jingles in it, and their occurrences."""
    sound, truth, at, number = programme.sound.copy(), [], 4.0, 0
    ramp = np.linspace(0, 1, 200, dtype=np.float32)
    while at < len(sound) / ENGINE_RATE - 12:
        name, jingle = jingles[rng.integers(len(jingles))]
        kind = "re-encoded" if reencoded else KINDS[number % 3]
        start, seconds = noises.sample_count(at), len(jingle) / ENGINE_RATE
        scene = next(span for span in programme.segments if span.start <= at < span.end)
        if kind == "under talk" and (scene.label != "speech" or scene.end < at + seconds):
            later = [
                span
                for span in programme.segments
                if span.label == "speech" and span.start >= at and span.end - span.start > seconds + 1
            ]
            if not later:
                number += 1
                continue
            at = later[0].start + 0.5
            start = noises.sample_count(at)
        place = sound[start : start + len(jingle)]
        if kind == "under talk":
            place += jingle * (level(place) / level(jingle) * 10 ** (UNDER_TALK_DB / 20))
        else:
            faded = jingle * (0.06 / level(jingle))
            faded[:200] *= ramp
            faded[-200:] *= ramp[::-1]
            place[:] = faded
        truth.append(Occurrence(name, start / ENGINE_RATE, kind))
        at, number = at + seconds + rng.uniform(*INTERVAL_S), number + 1
    sound = np.clip(sound, -0.99, 0.99)
    return degradation.apply_codec(sound, "mp3", 64) if reencoded else sound, truth


def detect_jingles(sound, memory, profile="broadcast"):
    """Return (name, t, delay) of every boundary that is snapped to a jingle."""
    events = segment(np.array_split(sound, 200), make_settings(profile), sample_rate=ENGINE_RATE, named_sounds=memory)
    return [
        (event.data.snapped_to.removeprefix("cue:"), event.data.t, event.data.decided_t - event.data.t)
        for event in events
        if isinstance(event.data, BoundaryConfirmed) and event.data.snapped_to
    ]


def match_detections(truth, detections):
    """Return the pairs of (occurrence, detection), and the false detections."""
    pairs, rest = [], list(detections)
    for one in truth:
        best = min((d for d in rest if d[0] == one.name), key=lambda d: abs(d[1] - one.t), default=None)
        if best is not None and abs(best[1] - one.t) <= MATCH_S:
            rest.remove(best)
            pairs.append((one, best))
    return pairs, rest


def measure(collection: MaterialCollection, hours: float, seed: int, count: int = 12, write=sys.stdout.write):
    """Measure and print; returns (recall, precision, share within EXACT_S)."""
    rng, cache = np.random.default_rng(seed), DecodedCache()
    jingles, sources = draw_jingles(collection, rng, cache, count)
    memory = NamedSounds(
        tuple(NamedSound(name=n, kind="cue", content=make_fingerprint(n, x).to_bytes()) for n, x in jingles)
    )
    rest, analysed_s, number = collection.exclude_sources(sources), 0.0, 0
    pairs, false, truth = [], [], []
    while analysed_s < 3600 * hours:
        programme = make_programme(SceneMaker(rest, np.random.default_rng([seed, number]), cache), 600)
        sound, occurrences = insert_jingles(programme, jingles, rng, reencoded=number % 4 == 3)
        its_pairs, its_false = match_detections(occurrences, detect_jingles(sound, memory))
        pairs, false, truth = pairs + its_pairs, false + its_false, truth + occurrences
        analysed_s, number = analysed_s + len(sound) / ENGINE_RATE, number + 1
    found = {id(one) for one, _ in pairs}
    for kind in sorted({one.kind for one in truth}):
        of_kind = [one for one in truth if one.kind == kind]
        write(f"{kind}: {sum(id(one) in found for one in of_kind)} of {len(of_kind)} found\n")
    errors = np.array([abs(detection[1] - one.t) for one, detection in pairs])
    delays = np.array([detection[2] for _, detection in pairs])
    recall, precision = len(pairs) / len(truth), len(pairs) / max(1, len(pairs) + len(false))
    exact = float(np.mean(errors <= EXACT_S))
    write(f"{analysed_s / 3600:.2f} h, {len(jingles)} jingles, {len(truth)} occurrences\n")
    write(f"recall {recall:.3f}, precision {precision:.3f}, start within {EXACT_S} s {exact:.3f}")
    write(f" (worst {errors.max():.3f} s), decided after {np.median(delays):.1f} s (median)\n")
    write(f"missed: {sorted((one.kind, one.name) for one in truth if id(one) not in found)}\nfalse: {false}\n")
    return recall, precision, exact


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    programmes.add_material_arguments(parser)
    parser.add_argument("--hours", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--cues", type=int, default=12)
    asked = parser.parse_args()
    measure(programmes.material_from_arguments(asked), asked.hours, asked.seed, asked.cues)
