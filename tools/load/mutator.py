"""Random protocol messages, valid to malformed."""

from __future__ import annotations

import json
import random

from streamseg.wire import token_proof

WORDS = [
    "op", "d", "identify", "request", "hello", "event", "id", "type", "stream", "streams", "subscribe", "unsubscribe",
    "snapshot", "history", "epoch", "from", "to", "name", "label", "mark", "t", "verdict", "confirm", "acknowledge",
    "alarm", "silence", "finish", "reset", "protocol", "auth", "client", "resume", "offset", "min_state", "confirmed",
    "provisional", "mic", "meter", "boundary", "", "\x00", "\ud83d", "é", "x" * 300, "__class__", "constructor",
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e308,
    "", "mic", "1", [], {}, [[]], ["mic"], ["meter"], {"mic": {"epoch": "E", "offset": 1}},
]  # fmt: skip
GOOD = [
    {"op": "identify", "d": {"protocol": 1}},
    {"op": "identify", "d": {"protocol": 1, "streams": ["mic"], "subscribe": ["meter"], "min_state": "confirmed"}},
    {"op": "identify", "d": {"protocol": 1, "resume": {"mic": {"epoch": "E", "offset": 3}}, "auth": "AUTH"}},
    {"op": "request", "d": {"id": 1, "type": "subscribe", "subscribe": ["meter"]}},
    {"op": "request", "d": {"id": 1, "type": "unsubscribe", "subscribe": ["meter"]}},
    {"op": "request", "d": {"id": "a", "type": "snapshot", "stream": "mic"}},
    {"op": "request", "d": {"id": 1, "type": "history", "stream": "mic", "epoch": "E", "from": 1, "to": 9}},
    {"op": "request", "d": {"id": 1, "type": "name", "stream": "mic", "label": "A", "name": "n"}},
    {"op": "request", "d": {"id": 1, "type": "mark", "stream": "mic", "t": 1.5, "verdict": "confirm"}},
    {"op": "request", "d": {"id": 1, "type": "acknowledge", "stream": "mic", "alarm": "silence"}},
    {"op": "request", "d": {"id": 1, "type": "finish", "stream": "mic"}},
    {"op": "request", "d": {"id": 1, "type": "reset", "stream": "mic"}},
]
AUTHS = [token_proof.compute_proof(token, "c0ffee") for token in ("read", "control", "wrong")]


class Mutator:
    """Makes random messages, valid to malformed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def message(self) -> str | bytes:
        chance = self.random
        roll = chance.random()
        if roll < 0.05:
            return chance.randbytes(chance.randrange(80))
        good = chance.choice(GOOD)
        if roll < 0.25:
            text = json.dumps(good)
        elif roll < 0.75:
            text = json.dumps(self.mutate(json.loads(json.dumps(good))))
        elif roll < 0.8:
            text = json.dumps(self.anything(4))
        else:
            text = self.scratch(json.dumps(good))
        return text.replace('"AUTH"', f'"{chance.choice(AUTHS)}"')

    def mutate(self, value: object) -> object:
        """Return the value with one part of it changed."""
        chance = self.random
        if isinstance(value, dict) and value and chance.random() < 0.8:
            key = chance.choice(list(value))
            roll = chance.random()
            if roll < 0.15:
                del value[key]
            elif roll < 0.3:
                value[chance.choice(WORDS)] = value.pop(key)
            elif roll < 0.4:
                value[chance.choice(WORDS)] = self.anything(2)
            else:
                value[key] = self.mutate(value[key])
            return value
        return self.anything(2)

    def anything(self, depth: int) -> object:
        chance = self.random
        roll = chance.random()
        if depth and roll < 0.2:
            return {chance.choice(WORDS): self.anything(depth - 1) for _ in range(chance.randrange(4))}
        if depth and roll < 0.35:
            return [self.anything(depth - 1) for _ in range(chance.randrange(4))]
        return chance.choice(WORDS) if roll < 0.6 else chance.choice(VALUES)

    def scratch(self, text: str) -> str:
        """Return the text with some characters changed, cut, doubled or deeply nested."""
        chance = self.random
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(text) + 1)
            match chance.randrange(6):
                case 0:
                    text = text[:at]
                case 1:
                    text = (
                        text[:at]
                        + chr(chance.choice((0, 9, 34, 44, 58, 91, 92, 123, 125, 0xD800, 0x1F600)))
                        + text[at:]
                    )
                case 2:
                    text = text[:at] + text[at : at + 20] * 2 + text[at + 20 :]
                case 3:
                    text = text[:at] + text[at + chance.randrange(9) :]
                case 4:
                    text = text[:at] + chance.choice(("[", '{"a":')) * chance.choice((3, 2000)) + text[at:]
                case 5:
                    text = (
                        text[:at] + chance.choice(("1e999", "-0", "1" * 400, "NaN", "\\u0000", "\\ud800")) + text[at:]
                    )
        return text
