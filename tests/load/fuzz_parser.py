"""Coverage-guided fuzzing of the conversation with atheris, which is installed for this alone.

pip install atheris && cd tests && python -m load.fuzz_parser -atheris_runs=1000000
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["streamseg.server.protocol", "streamseg.server.interest"]):
    from load.fuzz import check, conversation

from streamseg.server.protocol import State


def one(data: bytes) -> None:
    """The first byte picks tokens, the rest are messages, parted by zero bytes."""
    conn = conversation(random.Random(data[0] if data else 0))
    found: dict = {}
    for i, message in enumerate(data[1:].split(b"\0")):
        check(conn.receive(message.decode(errors="surrogateescape"), float(i)), conn, found)
        if conn.state is State.CLOSED:
            return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
