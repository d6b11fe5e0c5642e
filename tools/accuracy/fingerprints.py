"""Taught cue sounds in unseen programmes: how many are found, how many are wrong, how exactly they are placed.

    python -m tools.accuracy.fingerprints --packages DIR [--hours 1.5] [--seed 31]

Jingles of 3 to 8 s are cut from tracks that are then left out, or synthesised, taught, and laid into programmes made
of the rest: half as they are; a quarter under talk, 12 dB softer than it; a quarter in programmes re-encoded at
64 kbit/s. The whole engine hears them. Found means: a boundary snapped to that cue.
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
NEAR_S = 1.0  # farther off is another place
EXACT_S = 0.1
EVERY_S = (14.0, 30.0)
UNDER_DB = -12.0  # how loud a cue is beneath talk, against the talk


@dataclass
class Occurrence:
    name: str
    t: float
    kind: str


def melody(rng):
    """A jingle of plucked tones with some brightness, as a station might have it made."""
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


def jingles(stock, rng, shelf, how_many):
    """(name, sound) of each, and the sources they came from."""
    made, used = [], set()
    tracks = list({clip.source: clip for clip in stock.music}.values())
    for number in range(how_many):
        if number % 4 == 3:
            made.append((f"melody {number}", melody(rng)))
            continue
        clip = tracks[rng.integers(len(tracks))]
        tracks.remove(clip)
        used.add(clip.source)
        whole = shelf.get_clip(clip)
        n = noises.sample_count(rng.uniform(3.0, 8.0))
        start = int(rng.integers(len(whole) // 8, len(whole) - n))
        made.append((f"{clip.source} {number}", whole[start : start + n].copy()))
    return made, used


def loud(sound):
    piece = ENGINE_RATE // 10
    powers = np.mean(np.resize(sound, (max(1, len(sound) // piece), piece)) ** 2, axis=1)
    return float(np.sqrt(powers[powers >= 1e-3 * powers.max()].mean())) or 1e-6


def lay_in(made, cues, rng, reencoded):
    """The programme with cues in it, and where each is."""
    sound, truth, at, number = made.sound.copy(), [], 4.0, 0
    ramp = np.linspace(0, 1, 200, dtype=np.float32)
    while at < len(sound) / ENGINE_RATE - 12:
        name, cue = cues[rng.integers(len(cues))]
        kind = "re-encoded" if reencoded else KINDS[number % 3]
        start, seconds = noises.sample_count(at), len(cue) / ENGINE_RATE
        scene = next(span for span in made.segments if span.start <= at < span.end)
        if kind == "under talk" and (scene.label != "speech" or scene.end < at + seconds):
            later = [
                s for s in made.segments if s.label == "speech" and s.start >= at and s.end - s.start > seconds + 1
            ]
            if not later:
                number += 1
                continue
            at = later[0].start + 0.5
            start = noises.sample_count(at)
        there = sound[start : start + len(cue)]
        if kind == "under talk":
            there += cue * (loud(there) / loud(cue) * 10 ** (UNDER_DB / 20))
        else:
            own = cue * (0.06 / loud(cue))
            own[:200] *= ramp
            own[-200:] *= ramp[::-1]
            there[:] = own
        truth.append(Occurrence(name, start / ENGINE_RATE, kind))
        at, number = at + seconds + rng.uniform(*EVERY_S), number + 1
    sound = np.clip(sound, -0.99, 0.99)
    return degradation.apply_codec(sound, "mp3", 64) if reencoded else sound, truth


def heard(sound, memory, profile="broadcast"):
    """(name, t, delay) of every boundary snapped to a cue."""
    said = segment(np.array_split(sound, 200), make_settings(profile), sample_rate=ENGINE_RATE, memory=memory)
    return [
        (event.data.snapped_to.removeprefix("cue:"), event.data.t, event.data.decided_t - event.data.t)
        for event in said
        if isinstance(event.data, BoundaryConfirmed) and event.data.snapped_to
    ]


def judge(truth, found):
    """Pairs of (occurrence, found) and what was found for nothing."""
    pairs, free = [], list(found)
    for one in truth:
        mine = min((f for f in free if f[0] == one.name), key=lambda f: abs(f[1] - one.t), default=None)
        if mine is not None and abs(mine[1] - one.t) <= NEAR_S:
            free.remove(mine)
            pairs.append((one, mine))
    return pairs, free


def measure(stock: MaterialCollection, hours: float, seed: int, how_many: int = 12, say=sys.stdout.write):
    """Run it, and give (recall, precision, share within EXACT_S)."""
    rng, shelf = np.random.default_rng(seed), DecodedCache()
    cues, used = jingles(stock, rng, shelf, how_many)
    memory = NamedSounds(
        tuple(NamedSound(name=n, kind="cue", content=make_fingerprint(n, x).to_bytes()) for n, x in cues)
    )
    rest, heard_s, number = stock.exclude_sources(used), 0.0, 0
    pairs, wrong, truth = [], [], []
    while heard_s < 3600 * hours:
        made = make_programme(SceneMaker(rest, np.random.default_rng([seed, number]), shelf), 600)
        sound, there = lay_in(made, cues, rng, reencoded=number % 4 == 3)
        mine, free = judge(there, heard(sound, memory))
        pairs, wrong, truth = pairs + mine, wrong + free, truth + there
        heard_s, number = heard_s + len(sound) / ENGINE_RATE, number + 1
    found = {id(one) for one, _ in pairs}
    for kind in sorted({one.kind for one in truth}):
        of = [one for one in truth if one.kind == kind]
        say(f"{kind}: {sum(id(one) in found for one in of)} of {len(of)} found\n")
    off = np.array([abs(f[1] - one.t) for one, f in pairs])
    late = np.array([f[2] for _, f in pairs])
    recall, precision = len(pairs) / len(truth), len(pairs) / max(1, len(pairs) + len(wrong))
    exact = float(np.mean(off <= EXACT_S))
    say(f"{heard_s / 3600:.2f} h, {len(cues)} cues, {len(truth)} occurrences\n")
    say(f"recall {recall:.3f}, precision {precision:.3f}, start within {EXACT_S} s {exact:.3f}")
    say(f" (worst {off.max():.3f} s), known after {np.median(late):.1f} s (median)\n")
    say(f"missed: {sorted((one.kind, one.name) for one in truth if id(one) not in found)}\nwrong: {wrong}\n")
    return recall, precision, exact


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    programmes.add_material_arguments(parser)
    parser.add_argument("--hours", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--cues", type=int, default=12)
    asked = parser.parse_args()
    measure(programmes.material_from_arguments(asked), asked.hours, asked.seed, asked.cues)
