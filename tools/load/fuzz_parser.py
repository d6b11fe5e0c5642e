"""Coverage-guided fuzzing of the conversation with atheris, which is installed for this alone.

pip install atheris && python -m tools.load.fuzz_parser -atheris_runs=1000000
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["streamseg.server.protocol", "streamseg.wire.topics"]):
    from tools.load.fuzz import AUTHS, GOOD, check, conversation

from streamseg.server.protocol import ProtocolState


def one(data: bytes) -> None:
    """The first byte picks tokens, the rest are messages, parted by zero bytes."""
    conn = conversation(random.Random(data[0] if data else 0))
    found: dict = {}
    for i, message in enumerate(data[1:].split(b"\0")):
        check(conn.receive_message(message.decode(errors="surrogateescape"), float(i)), conn, found)
        if conn.state is ProtocolState.CLOSED:
            return


def begin(folder: Path) -> None:
    """Conversations that are right, to start from: random bytes alone hardly ever become JSON."""
    for n, good in enumerate(GOOD):
        for m, auth in enumerate(AUTHS):
            identify = {"op": "identify", "d": {"protocol": 1, "auth": auth}}
            messages = [json.dumps(message).encode() for message in (identify, good)]
            (folder / f"{n}-{m}").write_bytes(bytes([m]) + b"\0".join(messages))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        begin(Path(name))
        atheris.Setup([*sys.argv, name], one)
        atheris.Fuzz()
