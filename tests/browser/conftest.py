"""A real server with scripted streams, and a real Chromium that looks at its page."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest_asyncio
from page_contents import connected
from playwright.async_api import Browser, Page, async_playwright, expect
from ulid import ULID

from streamseg.server import Hub, StreamProgress, serve
from streamseg.settings import ServerSettings
from streamseg.wire.envelope import EventSequencer
from streamseg.wire.events import Event

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
]
expect.set_options(timeout=30_000)  # a busy machine draws late; five seconds is playwright's own patience
# What Chromium itself logs about a server that is away; the page cannot prevent it.
AWAY = re.compile(r"WebSocket connection to .* failed|net::ERR_CONNECTION_REFUSED")


class Wishes:
    """Controls that write down what a client asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def finish(self) -> None:
        self.asked.append(("finish",))

    def request_new_epoch(self) -> None:
        self.asked.append(("reset",))

    def mark_boundary(self, t: float, verdict: str) -> None:
        self.asked.append(("mark", t, verdict))

    def name_label(self, label: str, name: str, by: str) -> None:
        self.asked.append(("name", label, name))

    def set_next_epoch_sensitivity(self, sensitivity: float) -> None:
        self.asked.append(("set", sensitivity))

    def acknowledge_alarm(self, alarm: str, by: str) -> None:
        self.asked.append(("acknowledge", alarm))

    def publish_event(self, event: Event) -> None:
        self.asked.append(("say", event))


class Stage:
    """A server on loopback whose streams say what the test wants."""

    def __init__(self) -> None:
        self.port = 0
        self.wishes = Wishes()
        self._open = contextlib.AsyncExitStack()
        self._sequencers: dict[str, EventSequencer] = {}
        self.new_hub()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def new_hub(self, history: Path | None = None) -> None:
        """What a new process has: nothing, but for the history where one is kept."""
        self.hub = Hub(ServerSettings(heartbeat_s=0.5), history=history)

    def begin(self, *streams: str) -> None:
        """A new epoch of these streams."""
        for stream in streams or ("mic",):
            self._sequencers[stream] = EventSequencer(stream, str(ULID()), time.time)
            self.hub.add_stream(stream, self._sequencers[stream].epoch, self.wishes)

    def epoch(self, stream: str = "mic") -> str:
        return self._sequencers[stream].epoch

    def say(self, t: float, events: Iterable[Event], stream: str = "mic") -> None:
        self.hub.publish(
            stream, self._sequencers[stream].stamp_events(events), StreamProgress(t, max(0.0, t - 5.0), 0.02)
        )

    def play(self, script: Iterable[tuple[float, list[Event]]], stream: str = "mic") -> None:
        for t, events in script:
            self.say(t, events, stream)

    async def open(self, **options: Any) -> None:
        self.port = (await self._open.enter_async_context(serve(self.hub, "127.0.0.1", self.port, **options))).port

    async def close(self) -> None:
        await self._open.aclose()
        self._open = contextlib.AsyncExitStack()


@pytest_asyncio.fixture(loop_scope="session")
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        await browser.close()


class Window:
    """Opens pages and hears what they complain about."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []

    async def look(self, url: str, width: int = 1280, height: int = 900, **context: Any) -> Page:
        made = await self._browser.new_context(viewport={"width": width, "height": height}, **context)
        page = await made.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(url)
        return page


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Browser) -> AsyncIterator[Window]:
    """Fails the test when a page wrote to its console."""
    window = Window(browser)
    yield window
    for context in browser.contexts:
        await context.close()
    assert [text for text in window.complaints if not AWAY.search(text)] == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(stage: Stage, window: Window) -> Page:
    """A page that has joined the stream `mic` of the stage before its first event."""
    stage.begin()
    await stage.open()
    page = await window.look(stage.url)
    await connected(page)
    return page
