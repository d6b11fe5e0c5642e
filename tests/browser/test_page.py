"""The page in a real browser: what it shows while a stream plays."""

from __future__ import annotations

import itertools

import pytest
from page_contents import BOUNDARIES, after, connected, sign_in, starts, times, until
from playwright.async_api import expect

from streamseg.wire import events as facts
from streamseg.wire.events import Event

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all


async def test_sections_appear_while_the_stream_plays(stage, page):
    stage.play(until(40.0))
    await expect(page.locator(BOUNDARIES)).to_have_count(2)
    await expect(page.locator(".current-name")).to_have_text("Section A")
    stage.play(itertools.takewhile(lambda said: said[0] <= 60.0, after(40.0)))
    await expect(page.locator(BOUNDARIES)).to_have_count(4)
    assert await times(page) == starts(60.0)
    await expect(page.locator(".sound [data-on=true]")).to_have_text("silence yes")
    await expect(page.locator(".mark[data-kind=gap]")).to_have_text("0:200.60 s of sound missing (overflow)")
    await expect(page.locator(".mark[data-kind=title]")).to_contain_text("Overture in No Key")


async def test_a_boundary_firms_up_or_vanishes(stage, page):
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


async def test_a_stream_that_ends_is_shown_as_ended(stage, page):
    stage.play(until(40.0))
    stopped = facts.StreamStopped(t=40.0, reason="end", totals={})
    stage.say(40.0, [Event("stream", stopped)])
    await expect(page.locator(".status")).to_have_text("stopped")
    await expect(page.locator(".t")).to_have_text("0:40")
    await expect(page.locator(".mark[data-kind=stopped]")).to_contain_text("stopped: end")
    await expect(page.locator(".report > header")).to_contain_text("0:25.0 – 0:40.0")
    await expect(page.locator(".rms")).to_be_hidden()
    await expect(page.locator(".lag")).to_be_hidden()


async def test_an_alarm_ends_with_the_stream(stage, window, page):
    stage.play(until(60.0))
    await expect(page.locator(".alarm")).to_contain_text("Silence")
    stage.say(60.0, [Event("stream", facts.StreamStopped(t=60.0, reason="end", totals={}))])
    await expect(page.locator(".status")).to_have_text("stopped")
    await expect(page.locator(".alarm")).to_have_count(0)
    later = await window.look(stage.url)
    await expect(later.locator(".status")).to_have_text("stopped")
    await expect(later.locator(".alarm")).to_have_count(0)


async def test_measurements_have_words_that_a_musician_knows(stage, page):
    stage.play(until(5.0))
    await expect(page.locator(".momentary")).to_be_visible()
    await expect(page.locator(".lag")).to_be_visible()
    assert await page.locator(".meter dt").all_inner_texts() == ["RMS", "peak", "momentary", "short-term"]
    assert await page.locator(".facts dt").all_inner_texts() == ["time", "analysis lag", "lost sound"]
    for measurement in await page.locator(".meter dl div, .facts div").all():
        assert await measurement.get_attribute("title")


async def test_what_was_heard_before_is_the_label_and_not_the_jingle(stage, page):
    stage.play(until(30.0))  # A for the second time since 25 s; it ended at 14 s
    named = {"section_id": "s-2", "label": "A", "name": "News", "label_probabilities": {}, "seen_before": True}
    stage.say(30.0, [Event("s-2", facts.SectionUpdated(**named, last_seen=14.0))])
    await expect(page.locator(".current-name")).to_have_text("News")
    await expect(page.locator(".current-since")).to_contain_text("↺ label A heard before at 0:14")
    stage.say(30.1, [Event("s-2", facts.SectionUpdated(**named, last_seen=None))])
    await expect(page.locator(".current-since")).to_contain_text("↺ label A heard in an earlier run")


async def test_a_section_that_ends_with_another_label_was_heard_when_that_label_was(stage, page):
    stage.play(until(43.0))  # A to 14 s, B to 25 s, A to 41 s, which is still open
    mistaken = {"label": "B", "name": None, "label_probabilities": {}, "seen_before": True, "last_seen": 25.0}
    stage.say(43.0, [Event("s-2", facts.SectionUpdated(section_id="s-2", **mistaken))])
    row = page.locator(".boundary").filter(has=page.locator("time", has_text="0:25.0"))
    await expect(row).to_contain_text("heard before at 0:25")
    stage.play(itertools.takewhile(lambda said: said[0] <= 45.0, after(43.0)))  # it closes as A
    await expect(row).to_contain_text("Section A")
    await expect(row).to_contain_text("heard before at 0:14")


async def test_one_who_joins_in_the_first_section_sees_it(stage, window):
    stage.begin()
    await stage.open()
    stage.play(until(0.9))  # no event has named the first section yet
    page = await window.look(stage.url)
    await connected(page)
    await expect(page.locator(".report > header")).to_contain_text("since 0:00.0")
    stage.play(itertools.takewhile(lambda said: said[0] <= 1.5, after(0.9)))
    await expect(page.locator(".current-name")).to_have_text("Section A")
