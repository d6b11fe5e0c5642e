"""What a token opens on the page, and that strangers' words stay text."""

from __future__ import annotations

import itertools

import pytest
from page_contents import connected, sign_in, until
from playwright.async_api import expect
from scripted import opening

from streamseg.wire import events as facts
from streamseg.wire.events import Event

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all


async def test_what_strangers_write_stays_text(stage, window):
    evil = "<img src=x onerror=\"document.title='owned'\">"
    stage.begin()
    await stage.open()
    page = await window.look(stage.url)
    await connected(page)
    stage.say(0.0, opening(evil))
    stage.play(itertools.islice(until(30.0), 1, None))
    stage.say(
        30.0,
        [
            Event("stream", facts.StreamTitle(t=30.0, title=evil)),
            Event("label", facts.LabelNamed(label="A", name=evil, by=evil)),
            Event("alarm", facts.AlarmRaised(alarm="silence", since=30.0, level_db=None)),
            Event("alarm", facts.AlarmAcknowledged(alarm="silence", by=evil)),
        ],
    )
    await expect(page.locator(".current-name")).to_have_text(evil)
    await expect(page.locator(".alarm")).to_contain_text(evil)
    assert await page.locator("#streams img").count() == 0
    assert "owned" not in await page.title()


async def test_reading_takes_the_token_and_never_shows_it(stage, window):
    stage.begin()
    await stage.open(read_token="the read token")
    page = await window.look("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "websocket",
        lambda socket: (asked.append(socket.url), socket.on("framesent", lambda frame: asked.append(str(frame)))),
    )
    await page.goto(stage.url)
    await expect(page.locator("#token")).to_be_visible()
    await page.locator("#token [name=token]").fill("a wrong token")
    await page.locator("#token button").click()
    await expect(page.locator("#token .wrong")).to_have_text("The server did not accept that token.")
    await page.locator("#token [name=token]").fill("the read token")
    await page.locator("#token button").click()
    await connected(page)
    await expect(page.locator("#token")).to_be_hidden()
    await expect(page.locator(".boundary-here")).to_be_hidden()
    await page.reload()
    await connected(page)  # this tab remembers
    assert any("auth" in text for text in asked)
    assert not any("read token" in text or "read%20token" in text for text in asked)


async def test_only_the_control_token_opens_the_controls(stage, window):
    stage.begin()
    await stage.open(control_token="c")
    stage.play(until(59.0))  # dead air since 53 s, its alarm raised at 58
    page = await window.look(stage.url)
    await connected(page)
    await expect(page.locator(".alarm")).to_contain_text("Silence")
    await expect(page.locator(".alarm button")).to_have_count(0)
    await expect(page.locator(".boundary-here")).to_be_hidden()
    await sign_in(page, "c")
    await page.locator(".boundary").first.get_by_title("This boundary is right").click()
    await page.locator(".boundary").last.get_by_title("This boundary is wrong").click()
    await page.locator(".naming input").fill("Dead air")
    await page.locator(".naming button").click()
    await page.locator(".alarm button").click()
    await page.locator(".boundary-here").click()
    await page.locator(".reset").click()
    await expect(page.locator(".reset")).to_have_text("Really reset?")
    await page.locator(".reset").click()
    await expect(page.locator(".answer")).to_have_text("Done")
    *said, (mark, t, verdict), last = stage.wishes.asked
    assert said == [
        ("mark", 53.0, "confirm"),
        ("mark", 14.0, "reject"),
        ("name", "D", "Dead air"),
        ("acknowledge", "silence"),
    ]
    assert (mark, verdict) == ("mark", "boundary")
    assert 59.0 <= t <= 61.0
    assert last == ("reset",)
    stage.say(
        59.0,
        [
            Event("label", facts.LabelNamed(label="D", name="Dead air", by="page")),
            Event("alarm", facts.AlarmAcknowledged(alarm="silence", by="page")),
        ],
    )
    await expect(page.locator(".current-name")).to_have_text("Dead air")
    await expect(page.locator(".alarm")).to_contain_text("acknowledged by page")
