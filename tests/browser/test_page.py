"""The page in a real browser, on a real server."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from playwright.async_api import Page, expect
from scripted import opening, programme, sections

from streamseg.wire import events as facts
from streamseg.wire.events import Event

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all

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


async def test_sections_appear_while_the_stream_plays(stage, window):
    stage.begin()
    await stage.open()
    page = await window.look(stage.url)
    await connected(page)
    stage.play(until(40.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(2)
    await expect(page.locator(".current-name")).to_have_text("Section A")
    stage.play(itertools.takewhile(lambda said: said[0] <= 60.0, after(40.0)))
    await expect(page.locator(BOUNDARIES)).to_have_count(4)
    assert await times(page) == starts(60.0)
    await expect(page.locator(".sound [data-on=true]")).to_have_text("silence yes")
    await expect(page.locator(".mark[data-kind=gap]")).to_have_text("0:200.60 s of sound missing (overflow)")
    await expect(page.locator(".mark[data-kind=title]")).to_contain_text("Overture in No Key")


async def test_a_boundary_firms_up_or_vanishes(stage, window):
    stage.begin()
    await stage.open()
    page = await window.look(stage.url)
    await connected(page)
    stage.play(until(15.0))  # b-1 at 14 s is provisional since 14.8
    provisional = page.locator(".boundary[data-state=provisional]")
    await expect(provisional).to_have_count(1)
    await expect(provisional).to_contain_text("Possible boundary")
    stage.play(itertools.takewhile(lambda said: said[0] <= 18.0, after(15.0)))
    await expect(provisional).to_have_count(0)
    await expect(page.locator(BOUNDARIES)).to_have_count(1)
    stage.play(itertools.takewhile(lambda said: said[0] <= 32.5, after(18.0)))
    await expect(provisional).to_have_count(1)
    stage.play(itertools.takewhile(lambda said: said[0] <= 36.0, after(32.5)))
    await expect(provisional).to_have_count(0)
    await expect(page.locator(BOUNDARIES)).to_have_count(2)


async def test_ribbon_has_the_label_colours_where_the_sections_are(stage, window):
    stage.begin()
    await stage.open()
    stage.play(until(48.0))
    page = await window.look(stage.url)
    await connected(page)
    await page.locator(".zoom input[value='1m']").check()
    await expect(page.locator(".current-name")).to_have_text("Section C")
    await page.wait_for_function(
        """() => {
          const canvas = document.querySelector(".ribbon");
          const style = getComputedStyle(document.documentElement);
          const rgb = (name) => style.getPropertyValue(name).trim().slice(1).match(/../g).map((x) => parseInt(x, 16));
          const row = canvas.getContext("2d").getImageData(0, Math.round(canvas.height * .3), canvas.width, 1).data;
          const is = (at, colour) => colour.every((c, k) => Math.abs(row[4 * at + k] - c) < 3);
          const near = (x, colour) => Array.from({ length: 24 }, (_, n) => x + n).some((at) => is(at, colour));
          // All 48 s lie on 97 % of the width: A to 14, B to 25, A to 41, C.
          const x = (t) => Math.round(canvas.width * t / 48 * .97);
          return [[8, 0], [22, 1], [36, 0], [46, 2]].every(([t, n]) => near(x(t), rgb(`--label-${n}`)));
        }"""
    )


async def test_a_newcomer_sees_what_was_before(stage, window):
    stage.begin()
    await stage.open()
    stage.play(until(90.0))
    page = await window.look(stage.url)
    await connected(page)
    await expect(page.locator(BOUNDARIES)).to_have_count(len(starts(90.0)))
    assert await times(page) == starts(90.0)
    await expect(page.locator(".current-name")).to_have_text("Section E")


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


async def test_a_new_epoch_on_a_living_connection_goes_on_after_the_old_one(stage, window):
    stage.begin()
    await stage.open()
    page = await window.look(stage.url)
    await connected(page)
    stage.play(until(30.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(2)
    stage.begin()
    stage.play(until(20.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(3)
    assert await times(page) == starts(20.0) + starts(30.0)
    await expect(page.locator(".mark[data-kind=started]")).to_have_count(1)


async def test_several_streams_have_a_panel_each(stage, window):
    stage.begin("mic", "FM 4")
    await stage.open()
    page = await window.look(stage.url)
    await connected(page)
    stage.play(until(20.0), "mic")
    stage.play(until(30.0), "FM 4")
    await expect(page.locator("[data-stream=mic] " + BOUNDARIES)).to_have_count(1)
    await expect(page.locator("[data-stream='FM 4'] " + BOUNDARIES)).to_have_count(2)


async def test_phone_has_no_sideways_scroll(stage, window):
    stage.begin("x" * 90, "mic")
    await stage.open(control_token="s")
    stage.play(until(75.0))
    long = facts.LabelNamed(label="A", name="Einwohnermeldeamtsbescheinigung" * 3, by="page")
    stage.say(75.0, [Event("label", long), Event("stream", facts.StreamTitle(t=74.0, title="y" * 400))])
    page = await window.look(stage.url, 375, 812, device_scale_factor=2, has_touch=True, color_scheme="light")
    await connected(page)
    await sign_in(page, "s")
    await expect(page.locator("[data-stream=mic] .boundary-here")).to_be_visible()
    await page.locator("summary").click()
    await page.get_by_role("button", name="Python").click()
    await page.locator("[data-stream=mic] .choose").last.click()
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 375


async def sign_in(page: Page, token: str) -> None:
    await page.locator("#sign-in").click()
    await page.locator("#token [name=token]").fill(token)
    await page.locator("#token button").click()
    await connected(page)


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


async def test_keys_walk_through_the_sections(stage, window):
    stage.begin()
    await stage.open()
    stage.play(until(60.0))
    page = await window.look(stage.url, reduced_motion="reduce")
    await connected(page)
    heading = page.locator(".report > header")
    await expect(heading).to_contain_text("Section D")
    await page.locator(".ribbon").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(heading).to_contain_text("Section C")
    await page.keyboard.press("ArrowLeft")
    await expect(heading).to_contain_text("Section A")
    await page.keyboard.press("ArrowRight")
    await expect(heading).to_contain_text("Section C")
    await expect(page.locator(".report")).to_contain_text("LUFS")
    await page.keyboard.press("Home")
    await expect(heading).to_contain_text("0:00.0 – 0:14.0")
    await page.keyboard.press("Escape")
    await expect(heading).to_contain_text("since 0:53")


async def test_a_stream_that_ends_is_shown_as_ended(stage, window):
    stage.begin()
    await stage.open()
    page = await window.look(stage.url)
    await connected(page)
    stage.play(until(40.0))
    stopped = facts.StreamStopped(t=40.0, reason="end", totals={})
    stage.say(40.0, [Event("stream", stopped)])
    await expect(page.locator(".status")).to_have_text("stopped")
    await expect(page.locator(".t")).to_have_text("0:40")
    await expect(page.locator(".mark[data-kind=stopped]")).to_contain_text("stopped: end")
    await expect(page.locator(".report > header")).to_contain_text("0:25.0 – 0:40.0")
    await expect(page.locator(".rms")).to_be_hidden()


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
