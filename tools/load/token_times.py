"""Timing of wrong tokens: whether the time of a refusal depends on how the token is wrong.

python -m tools.load.token_times --rounds 100000
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time

from streamseg.server.access_tokens import AccessTokens
from streamseg.wire import token_proof

CHALLENGE = "c0ffee" * 8


def measure_times(rounds: int, seed: int = 1) -> dict[str, float]:
    """Measure all kinds of answers in turn; returns the median nanoseconds of each kind."""
    allowed = AccessTokens("a reading token of some length", "a control token of some length")
    right = token_proof.compute_proof("a reading token of some length", CHALLENGE)
    other = {"0": "1"}.get(right[0], "0"), {"0": "1"}.get(right[-1], "0")
    answers = {
        "wrong at its beginning": other[0] + right[1:],
        "wrong at its end": right[:-1] + other[1],
        "wrong throughout": "".join({"0": "1"}.get(digit, "0") for digit in right),
        "of another token": token_proof.compute_proof("a guess", CHALLENGE),
        "right, to read": right,
        "right, to control": token_proof.compute_proof("a control token of some length", CHALLENGE),
    }
    taken: dict[str, list[int]] = {kind: [] for kind in answers}
    order = list(answers)
    chance = random.Random(seed)
    for _ in range(rounds):
        chance.shuffle(order)
        for kind in order:
            began = time.perf_counter_ns()
            allowed.role_for_proof(CHALLENGE, answers[kind])
            taken[kind].append(time.perf_counter_ns() - began)
    return {kind: statistics.median(times) for kind, times in taken.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100_000)
    found = measure_times(parser.parse_args().rounds)
    wrong = [ns for kind, ns in found.items() if not kind.startswith("right")]
    print(json.dumps({"median_ns": found, "wrong_ones_differ_by": round(max(wrong) / min(wrong) - 1, 4)}))
