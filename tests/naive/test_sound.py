"""The description of a block of sound, and the network that hears it, against slow and obvious versions."""

import numpy as np
import pytest

from streamseg.engine.features import COLUMNS, Features
from streamseg.engine.models.sound import NETWORK, Network
from streamseg.engine.sound.describing import BLOCK, REACH, SPAN, STATS, describe
from streamseg.engine.sound.network import CONTEXT, FADING, Listener
from streamseg.evaluation.generated import noises


def cosine(x, y):
    return x @ y / np.sqrt(x @ x * (y @ y)) if x @ x > 1e-9 and y @ y > 1e-9 else 0.0


def spread(x):
    return [x.mean(), x.std()]


def described(frames):
    """All of `describe`, in its order."""
    part = {name: frames[:, columns] for name, columns in COLUMNS.items()}
    mel, chroma = part["log_mel"], part["chroma"]
    now = mel[REACH:]
    loud = now.mean(axis=1)
    out = [loud.std(), loud.min() - loud.mean(), loud.max() - loud.mean()]
    for band in now.reshape(BLOCK, 16, 4).mean(axis=2).T:
        out += [band.mean() - loud.mean(), band.std(), band.min() - band.mean()]
    moved = np.abs(np.diff(mel[REACH - 1 :], axis=0))
    out += list(moved.reshape(BLOCK, 4, 16).mean(axis=(0, 2)))

    out += spread(part["zero_crossing_rate"][REACH:])
    out += spread(np.log(part["flatness"][REACH:] + 1e-7))
    out += spread(np.log(part["centroid_hz"][REACH:] + 50.0))
    onset = part["onset"][REACH:]
    out += [*spread(onset), onset.max()]
    out += spread(part["voicing"][REACH:])
    hz = part["f0_hz"][:, 0]
    steps = [
        min(0.2, abs(np.log(b / a))) for a, b in zip(hz[REACH - 1 : -1], hz[REACH:], strict=True) if a > 0 and b > 0
    ]
    out += [len(steps) / BLOCK, np.mean(steps) if steps else 0.0, part["tempo_confidence"][-1, 0]]
    for band in part["contrast"][REACH:].T:
        out += spread(band)

    def lasting(x, lag):
        return np.mean([cosine(x[f], x[f - lag]) for f in range(REACH, SPAN)])

    out += [lasting(chroma, lag) for lag in (1, 3, 9, 18)]
    out += [chroma[REACH:].mean(), chroma[REACH:].std(axis=0).mean()]
    ridges = mel[:, 1:-1] - 0.5 * (mel[:, :-2] + mel[:, 2:])
    for half in (ridges[:, :31], ridges[:, 31:]):
        out += [*(lasting(half, lag) for lag in (2, 6, 15)), np.abs(half[REACH:]).mean()]

    floor, level = mel.min(axis=0), mel.mean(axis=1)
    out += list(floor.reshape(16, 4).mean(axis=1) - level.mean())
    bare, usual = floor[1:-1] - 0.5 * (floor[:-2] + floor[2:]), ridges.mean(axis=0)
    out += [np.abs(bare[20 * k : 20 * k + 20]).mean() for k in range(3)]
    out += [cosine(bare[:31], usual[:31]), cosine(bare[31:], usual[31:])]
    quiet = sorted(np.argsort(level, kind="stable")[:8])
    out += [
        (level[quiet] - level.mean()).mean(),
        np.log(part["flatness"][quiet] + 1e-7).mean(),
        np.abs(ridges[quiet]).mean(),
        np.mean([cosine(ridges[f], ridges[quiet[i - 1]]) for i, f in enumerate(quiet)]),
        chroma[quiet].mean(),
        part["voicing"][quiet].mean(),
    ]
    return np.array(out)


@pytest.mark.parametrize("kind", ["siren", "crowd", "knocks"])
def test_a_block_is_described_as_by_hand(kind):
    frames = Features().push(noises.KINDS[kind](np.random.default_rng(1), 3.0).astype(np.float32) * 0.1)
    for at in (0, 17, 60):
        out = np.empty(STATS)
        describe(frames[at : at + SPAN], out)
        assert out == pytest.approx(described(frames[at : at + SPAN]), abs=1e-9)


def test_silence_is_described_by_numbers():
    out = np.empty(STATS)
    describe(Features().push(np.zeros(2048 + 512 * SPAN, np.float32))[:SPAN], out)
    assert np.all(np.isfinite(out))


def listened(stats, net: Network):
    """The network over whole arrays."""
    z = np.clip((stats - net.mean) / net.deviation, -4.0, 4.0)
    seen = np.maximum(z @ net.w1 + net.b1, 0.0)
    means = []
    for fading in FADING:
        mean = [seen[0]]
        for x in seen[1:]:
            mean.append(fading * mean[-1] + (1 - fading) * x)
        means.append(np.array(mean))
    out = []
    for t in range(len(seen)):
        context = [seen[max(0, t - CONTEXT + 1 + j)] for j in range(CONTEXT)]
        row = np.concatenate([*context, *(mean[t] for mean in means)])
        out.append(np.maximum(row @ net.w2 + net.b2, 0.0) @ net.w3 + net.b3)
    return np.array(out)


def test_the_network_hears_block_by_block_what_it_hears_at_once():
    rng = np.random.default_rng(2)
    stats = NETWORK.mean + 2 * NETWORK.deviation * rng.standard_normal((40, STATS))
    listener = Listener(NETWORK)
    assert np.array([listener.push(row) for row in stats]) == pytest.approx(listened(stats, NETWORK), abs=1e-9)
