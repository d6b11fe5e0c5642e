"""Nothing of the protocol is written twice: numbers and names of the wire are in `streamseg/wire/` alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from streamseg.blocks import GapCause
from streamseg.wire import events as e
from streamseg.wire import messages as m
from streamseg.wire.codes import CloseCode
from streamseg.wire.topics import TOPICS

HOUSE = Path(__file__).parents[2] / "streamseg"
OUTSIDE = [path for path in sorted(HOUSE.rglob("*.py")) if path.relative_to(HOUSE).parts[0] != "wire"]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_name_or_number_of_the_protocol_is_outside_wire(path):
    own = {m.SUBPROTOCOL, *e.EVENT_TYPES, *(code for code in CloseCode if code >= 4000)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int) and type(node.value) is not bool:
            assert node.value not in own, f"{path}:{node.lineno} repeats {node.value!r}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "hmac.new":
            raise AssertionError(f"{path}:{node.lineno} repeats the proof of a token")


def test_every_event_has_a_topic():
    assert {e.topic_of_type(event_type) for event_type in e.EVENT_TYPES} == TOPICS


def test_a_gap_has_the_same_causes_in_a_block_and_on_the_wire():
    """Written twice, since clients do not load NumPy, which `blocks` needs."""
    assert get_args(get_type_hints(e.StreamGap)["cause"]) == get_args(GapCause)


@pytest.mark.parametrize("room", ["wire.events", "wire.requests", "wire.schemas", "history.reader", "client"])
def test_neither_wire_nor_its_users_load_numpy(room):
    code = f"import sys, streamseg.{room}; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_settings_of_a_started_stream_are_described_as_settings():
    """The description is published as a schema; it said that they were a hash."""
    assert "settings: every setting by name" in (e.StreamStarted.__doc__ or "")
