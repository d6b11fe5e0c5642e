"""The frames of the WebSocket protocol that we make ourselves."""

from __future__ import annotations

import pytest

from streamseg.wire import frames


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 70_000])
def test_frames_are_those_of_websockets(size):
    from websockets.frames import Frame, Opcode

    text = b"x" * size
    assert frames.make_text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)
