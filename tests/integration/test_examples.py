"""Every example, run as its first lines say, against a real server and real counterparts."""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from streamseg import BoundaryConfirmed, subscribe
from streamseg.sources.demo_programme import list_demo_scenes
from tools.command import start

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVING = ("--profile", "broadcast", "--port", "0", "--no-history", "--origin", "null")


def example(name: str, *arguments: str | Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-u", EXAMPLES / name, *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "path", sorted(path for path in EXAMPLES.iterdir() if path.is_file()), ids=lambda path: path.name
)
def test_examples_are_short(path: Path):
    assert len(path.read_text().splitlines()) <= 40


def test_segment_file(programme):
    with example("segment_file.py", programme, "broadcast") as running:
        out, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    rows = re.findall(r"([\d.]+) s  to +([\d.]+) s   (\w+)", out)
    assert [float(start_s) for start_s, _, _ in rows] == pytest.approx([0, 14, 30, 40, 56, 62], abs=0.5)
    assert rows[-1][2] == rows[1][2]


def test_own_sink_posts_cloud_events(programme):
    posted = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.headers["Content-Type"] == "application/cloudevents+json"
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with example("own_sink.py", programme, f"http://127.0.0.1:{server.server_port}/hook") as running:
            out, _ = running.communicate(timeout=120)
        server.shutdown()
    assert running.returncode == 0
    assert len(posted) == out.count("204") >= 5
    assert {event["specversion"] for event in posted} == {"1.0"}
    assert posted[-1]["data"]["ended_by"] == "end"


async def test_serve_microphone_serves_a_page_and_events_without_the_command_line(programme_from_8_s):
    with example("serve_microphone.py", programme_from_8_s, "0") as running:
        try:
            page = next(line for line in running.stdout if line.startswith("page: "))
            address = page.removeprefix("page: http").strip() + "ws"
            async with asyncio.timeout(100):
                async for event in subscribe(f"ws{address}", subscribe=["boundary"]):
                    if isinstance(event.data, BoundaryConfirmed):
                        break
            printed = next(running.stdout)
            assert re.fullmatch(r" *([\d.]+) s  section \w+ begins\n", printed)
            assert abs(float(printed.split()[0]) - event.data.t) < 0.01
        finally:
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 0


def test_live_clients_hear_the_changes(programme_from_8_s):
    """The three live examples at once, on one server; the browser is up before the sound begins."""
    starts = [scene.start_s - 8 for scene in list_demo_scenes()[1:]]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fixture, sync_playwright() as playwright:
        fixture.bind(("127.0.0.1", 0))
        fixture.settimeout(100)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        with (
            start("serve", programme_from_8_s, *SERVING) as serving,
            example("live_print.py", address := serving.wait_for_address()) as printing,
            example("lights.py", address, "127.0.0.1", str(fixture.getsockname()[1])) as lights,
        ):
            try:
                page.goto(f"file://{EXAMPLES / 'browser_client.html'}?{address}")
                # `wait_for_function` looks only when a frame is drawn, and a busy machine may draw none.
                expect(page.locator("#changes li")).not_to_have_count(0, timeout=100_000)
                t, label = re.match(r"([\d.]+) s: (\w+)", page.inner_text("#changes li")).groups()
                assert min(abs(float(t) - at) for at in starts) < 0.5
                assert page.inner_text("#now") == label
                browser.close()
                line = next(line for line in printing.stdout if "perhaps" not in line)
                t = re.match(r" *([\d.]+) s  from \w+ to \w+", line).group(1)
                assert min(abs(float(t) - at) for at in starts) < 0.5
                packet = fixture.recv(1000)
                while max(packet[18:21]) < 255:  # dimmed by what was only suspected
                    packet = fixture.recv(1000)
                assert packet.startswith(b"Art-Net\0\x00\x50\x00\x0e")
                assert len(packet) == 18 + int.from_bytes(packet[16:18], "big")
            finally:
                printing.kill()
                lights.kill()
