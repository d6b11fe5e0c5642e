"""The page while `streamseg demo` runs: the whole way from sound to screen."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all

START_S = 120  # the first run compiles


@pytest_asyncio.fixture(loop_scope="session")
async def demo() -> AsyncIterator[str]:
    """The address of the page of a demo that plays in real time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streamseg",
        "demo",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(START_S):
            while not (address := re.search(rb"page: (http://\S+)\s", said)):
                line = await process.stdout.readline()
                assert line, f"the demo ended without an address: {said!r}"
                said += line
        rest = asyncio.create_task(process.stdout.read())  # or it would wait for us to read
        yield address[1].decode()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            await rest
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_sections_appear_while_the_demo_runs(demo, window):
    page = await window.look(demo)
    await expect(page.locator("#connection")).to_have_text("connected")
    await expect(page.locator(".status")).to_have_text("live")
    assert await page.locator(".boundary").count() == 0
    # The first change of the programme lies at 14 s and is certain some seconds later.
    await expect(page.locator(".boundary[data-state=confirmed]")).to_have_count(1, timeout=40_000)
    await expect(page.locator(".boundary .when")).to_have_text("0:14.0")
    await expect(page.locator(".status")).to_have_text("live")
    await expect(page.locator(".rms")).to_contain_text("dB")
