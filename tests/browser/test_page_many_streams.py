"""The page of a server with many streams that have been running for long."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import expect

from tools.load.join_full import fill, names

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all


@pytest.mark.parametrize("history", [True, False])
async def test_forty_full_streams_are_shown(stage, window, tmp_path, history):
    """Their snapshots follow one by one, and the page does not ask for more than a server answers in a second."""
    stage.new_hub(tmp_path / "history.sqlite" if history else None)
    await stage.open()
    feeds = await fill(stage.hub, names(40))
    page = await window.look("about:blank")
    ops: list[str] = []
    said: list[str] = []
    closed: list[str] = []

    def note(socket) -> None:
        socket.on("framereceived", lambda text: ops.append(json.loads(text)["op"]))
        socket.on("framesent", lambda text: said.append(text))
        socket.on("close", lambda: closed.append(socket.url))

    page.on("websocket", note)
    await page.goto(stage.url)
    await expect(page.locator("#connection")).to_have_text("connected")
    panels = page.locator("[data-stream]")
    await expect(panels).to_have_count(40)
    for feed in (feeds[0], feeds[39]):
        panel = page.locator(f"[data-stream={feed.stream}]")
        await panel.scroll_into_view_if_needed()
        boundaries = panel.locator(".boundary[data-state=confirmed]")
        await expect(boundaries.first).to_be_visible()
        known = await boundaries.count()
        feed.talker.t += 20
        confirmed, _ = feed.publish(*feed.talker.change())  # the live events go on from the snapshot
        await expect(boundaries).to_have_count(known + 1)
        await expect(panel.locator(".current-name")).to_have_text(f"Section {confirmed.data.next.label}")
    assert ops.count("snapshot") == 40
    assert closed == []
    assert len(said) <= stage.hub.settings.message_burst * 3 / 4  # what a listener presses must find room too
    assert stage.hub.slow_clients == 0
