"""Parts of the scripted programme, and what the page shows of it."""

from __future__ import annotations

import itertools

from playwright.async_api import Page, expect
from scripted import programme, sections

BOUNDARIES = ".boundary[data-state=confirmed]"


def until(seconds, scenes=8):
    return itertools.takewhile(lambda said: said[0] <= seconds, programme(scenes))


def after(seconds, scenes=8):
    return itertools.dropwhile(lambda said: said[0] <= seconds, programme(scenes))


async def connected(page: Page) -> None:
    await expect(page.locator("#connection")).to_have_text("connected")


async def times(page: Page) -> list[str]:
    return await page.locator(f"{BOUNDARIES} .when").all_inner_texts()


def clock(t: float) -> str:
    return f"{int(t // 60)}:{t % 60:04.1f}"


def starts(before: float, scenes=8) -> list[str]:
    """The boundaries confirmed before that second, newest first, as the page writes them."""
    return [clock(start) for n, start, _ in sections(scenes) if n and start + 3.0 <= before][::-1]


async def sign_in(page: Page, token: str) -> None:
    await page.locator("#sign-in").click()
    await page.locator("#token [name=token]").fill(token)
    await page.locator("#token button").click()
    await connected(page)
