"""The page when its connection, the server or a stream ends and comes back."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from page_contents import BOUNDARIES, after, connected, starts, times, until
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all


async def test_nothing_missing_and_nothing_double_after_a_restart(stage, window):
    stage.begin()
    await stage.open()
    stage.play(until(30.0))
    page = await window.look(stage.url)
    await connected(page)
    await expect(page.locator(BOUNDARIES)).to_have_count(2)
    first = starts(30.0)
    # The network goes, nothing happens meanwhile.
    await stage.close()
    await expect(page.locator("#connection")).to_contain_text("trying again")
    await stage.open()
    await connected(page)
    assert await times(page) == first
    # It goes again, and sections pass meanwhile.
    await stage.close()
    stage.play(itertools.takewhile(lambda said: said[0] <= 70.0, after(30.0)))
    await stage.open()
    await connected(page)
    await expect(page.locator(BOUNDARIES)).to_have_count(len(starts(70.0)))
    stage.play(itertools.takewhile(lambda said: said[0] <= 80.0, after(70.0)))
    await expect(page.locator(BOUNDARIES)).to_have_count(len(starts(80.0)))
    assert await times(page) == starts(80.0)
    # The process dies and comes back without a memory: a new run of the stream, after the old one.
    await stage.close()
    stage.new_hub()
    stage.begin()
    await stage.open()
    await connected(page)
    stage.play(until(30.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(len(starts(80.0)) + 2)
    assert await times(page) == starts(30.0) + starts(80.0)
    keys = await page.locator(".boundaries li").evaluate_all("rows => rows.map((row) => row.dataset.key)")
    assert len(keys) == len(set(keys))


async def test_with_a_history_a_restart_is_resumed_event_by_event(stage, window, tmp_path):
    stage.new_hub(tmp_path / "history.sqlite")
    stage.begin()
    await stage.open()
    page = await window.look("about:blank")
    joined: list[dict] = []

    def note(frame: str) -> None:
        message = json.loads(frame)
        if message["op"] == "identified":
            joined.append(message["d"]["streams"]["mic"])

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    await page.goto(stage.url)
    await connected(page)
    stage.play(until(30.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(2)
    # Killed, and back with a new run of the stream that was under way before the page found it.
    await stage.close()
    stage.new_hub(tmp_path / "history.sqlite")
    stage.begin()
    stage.play(until(60.0))
    await stage.open()
    await connected(page)
    await expect(page.locator(BOUNDARIES)).to_have_count(2 + len(starts(60.0)))
    stage.play(itertools.takewhile(lambda said: said[0] <= 70.0, after(60.0)))
    await expect(page.locator(BOUNDARIES)).to_have_count(2 + len(starts(70.0)))
    assert await times(page) == starts(70.0) + starts(30.0)
    assert [answer["recovered"] for answer in joined] == [False, True]
    assert "%" in (await page.locator(f"{BOUNDARIES} .percent").all_inner_texts())[-1]
    # A page opened now reads the run so far from the history: confidence and all.
    newcomer = await window.look(stage.url)
    await connected(newcomer)
    await expect(newcomer.locator(BOUNDARIES)).to_have_count(len(starts(70.0)))
    assert all("%" in text for text in await newcomer.locator(f"{BOUNDARIES} .percent").all_inner_texts())


async def test_a_new_epoch_on_a_living_connection_goes_on_after_the_old_one(stage, page):
    stage.play(until(30.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(2)
    stage.begin()
    stage.play(until(20.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(3)
    assert await times(page) == starts(20.0) + starts(30.0)
    await expect(page.locator(".mark[data-kind=started]")).to_have_count(1)


@pytest.mark.parametrize(
    ("code", "said", "comes_back", "resumes"),
    [
        (4308, "connected", True, True),
        (4310, "connected", True, False),
        (4010, "The server speaks another version of the protocol. Reload the page.", False, False),
        (4501, "no more", False, False),
    ],
)
async def test_close_codes_mean_what_the_protocol_says(stage, window, code, said, comes_back, resumes):
    stage.begin()
    await stage.open()
    stage.play(until(30.0))
    page = await window.look("about:blank")
    identified: list[dict] = []
    sockets = []

    def between(socket) -> None:
        sockets.append(socket)
        server = socket.connect_to_server()

        def pass_on(text: str) -> None:
            message = json.loads(text)
            if message["op"] == "identify":
                identified.append(message["d"])
            server.send(text)

        socket.on_message(pass_on)

    await page.route_web_socket("**/ws", between)
    await page.goto(stage.url)
    await connected(page)
    await expect(page.locator(BOUNDARIES)).to_have_count(2)
    await sockets[0].close(code=code, reason="no more")
    if comes_back:
        await expect(page.locator("#connection")).to_have_attribute("data-state", "waiting")
    await expect(page.locator("#connection")).to_have_text(said)
    if comes_back:
        async with asyncio.timeout(20):
            while len(identified) < 2:
                await asyncio.sleep(0.02)
    await asyncio.sleep(1.0)  # longer than the first back-off
    assert len(identified) == (2 if comes_back else 1)
    assert bool(identified[-1]["resume"]) == resumes
    assert await times(page) == starts(30.0)
