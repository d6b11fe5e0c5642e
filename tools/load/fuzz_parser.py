"""Coverage-guided fuzzing of the protocol with atheris, which the project needs for nothing else.

pip install atheris
python -m tools.load.fuzz_parser -atheris_runs=1000000
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path


def fuzz(options: list[str]) -> None:
    """Fuzz the protocol, starting from valid conversations; options: those of atheris."""
    import atheris

    with atheris.instrument_imports(include=["streamseg.server.protocol", "streamseg.wire.topics"]):
        from tools.load.fuzz import check, conversation
        from tools.load.mutator import AUTHS, GOOD

    from streamseg.server.protocol import ProtocolState

    def run_conversation(data: bytes) -> None:
        """Run one conversation: the first byte seeds the server's tokens, the rest are messages between zero bytes."""
        connection = conversation(random.Random(data[0] if data else 0))
        found: dict = {}
        for i, message in enumerate(data[1:].split(b"\0")):
            actions = connection.receive_message(message.decode(errors="surrogateescape"), float(i))
            check(actions, connection, found)
            if connection.state is ProtocolState.CLOSED:
                return

    with tempfile.TemporaryDirectory() as folder:
        # Random bytes are hardly ever JSON.
        for n, good in enumerate(GOOD):
            for m, auth in enumerate(AUTHS):
                identify = {"op": "identify", "d": {"protocol": 1, "auth": auth}}
                messages = [json.dumps(message).encode() for message in (identify, good)]
                Path(folder, f"{n}-{m}").write_bytes(bytes([m]) + b"\0".join(messages))
        atheris.Setup([sys.argv[0], *options, folder], run_conversation)
        atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="All options are those of atheris and libFuzzer.",
    )
    fuzz(parser.parse_known_args()[1])
