"""What goes wrong in the world: a clear message, the right exit code, and nothing else disturbed."""

import json
import re
import signal
import socket
import subprocess
import time
import wave
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from streamseg.client.blocking import subscribe_sync
from streamseg.sources.demo_programme import SAMPLE_RATE, list_demo_scenes
from streamseg.wire.envelope import decode_envelope
from streamseg.wire.events import MeterReading, SectionClosed, StreamStopped
from tools.command import command, run, start
from tools.forked_commands import Done

ALL_TOPICS = ("boundary", "section", "sound", "alarm", "stream", "label", "history")


def failed(done: subprocess.CompletedProcess[str] | Done, code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(message, last), last
    assert last.startswith("streamseg: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["analyze", "split", "serve"])
def test_missing_file(commands, name, tmp_path: Path):
    more = ["-o", tmp_path] if name == "split" else []
    failed(commands.run(name, "nowhere/at all.flac", *more, cwd=tmp_path), 2, "no file 'nowhere/at all.flac'")


def test_text_called_mp3(commands, tmp_path: Path):
    file = tmp_path / "notes.mp3"
    file.write_text("this is no sound\n" * 100)
    done = commands.run("analyze", file, cwd=tmp_path)
    failed(done, 1, "not a sound file")
    assert done.stdout == ""


def test_zero_length_wav(commands, tmp_path: Path):
    file = tmp_path / "nothing.wav"
    with wave.open(str(file), "wb") as header:
        header.setparams((2, 2, 44100, 0, "NONE", ""))
    done = commands.run("analyze", file, cwd=tmp_path)
    failed(done, 1, "holds no sound")
    assert done.stdout == ""


def test_empty_file(commands, tmp_path: Path):
    (tmp_path / "empty.flac").touch()
    failed(commands.run("analyze", tmp_path / "empty.flac", cwd=tmp_path), 1, "empty")


@pytest.fixture(scope="module")
def cut_mp3(programme: Path, tmp_path_factory) -> Path:
    """An mp3 of the programme that ends in the middle of the dance piece."""
    whole = tmp_path_factory.mktemp("cut") / "whole.mp3"
    subprocess.run(["ffmpeg", "-v", "error", "-i", programme, "-b:a", "128k", whole], check=True, timeout=60)
    cut = whole.with_name("cut.mp3")
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 50 / list_demo_scenes()[-1].end_s)])
    return cut


def test_truncated_mp3_gives_everything_up_to_the_cut(cut_mp3: Path):
    done = run("analyze", cut_mp3, "--profile", "broadcast")
    failed(done, 1, "cut")
    events = [decode_envelope(line) for line in done.stdout.splitlines()]
    assert isinstance(events[-1].data, StreamStopped)
    assert events[-1].data.t == pytest.approx(50, abs=1)
    closed = [event.data.start for event in events if isinstance(event.data, SectionClosed)]
    assert closed == pytest.approx([0, 14, 30, 40], abs=0.5)


def test_truncated_mp3_is_written_in_other_formats_too(commands, cut_mp3: Path, tmp_path: Path):
    done = commands.run(
        "analyze", cut_mp3, "--profile", "broadcast", "--format", "cue", "-o", tmp_path / "cut.cue", cwd=tmp_path
    )
    failed(done, 1, "cut")
    assert (tmp_path / "cut.cue").read_text().count("TRACK") == 4


@pytest.mark.parametrize("arguments", [("listen", "--device", "no such device"), ("serve", "mic:no such device")])
def test_a_device_that_is_not_there(arguments):
    failed(run(*arguments), 2, "no such device|no input device")


def test_port_in_use(programme: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        failed(run("serve", programme, "--no-history", "--port", port), 1, f"port {port} on 127.0.0.1 is in use")
        failed(run("demo", "--fast", "--port", port), 1, f"port {port} on 127.0.0.1 is in use")


def test_demo_finds_a_free_port_when_nobody_asked_for_one():
    until_s = time.monotonic() + 120
    while True:  # until the port is ours: whoever else has it (another suite, say) may let go of it in between
        try:
            taken = socket.create_server(("127.0.0.1", 8765))
            break
        except OSError:
            assert time.monotonic() < until_s, "somebody holds port 8765 all the time"
            time.sleep(0.1)
    with taken:
        done = run("demo", "--fast")
    assert done.returncode == 0, done.stderr
    assert "page: http://127.0.0.1:8765" not in done.stderr


def test_off_loopback_without_a_token(commands, programme: Path, tmp_path: Path):
    failed(commands.run("serve", programme, "--no-history", "--host", "0.0.0.0", cwd=tmp_path), 2, "token")


def test_two_streams_of_one_name(commands, programme: Path, tmp_path: Path):
    done = commands.run("serve", programme, programme, "--no-history", "--port", "0", cwd=tmp_path)
    failed(done, 2, "'programme'; give each its own")


def test_output_that_cannot_be_written(commands, programme: Path, tmp_path: Path):
    done = commands.run("analyze", programme, "-o", tmp_path / "no folder" / "x.jsonl", cwd=tmp_path)
    failed(done, 1, "cannot write .*no folder")


def test_events_that_are_none(commands, tmp_path: Path):
    (tmp_path / "x.jsonl").write_text('{"op": "hello"}\n')
    failed(commands.run("export", tmp_path / "x.jsonl", "--format", "lab", cwd=tmp_path), 1, "line 1 is not an event")


def test_a_reader_that_goes_away_is_no_trouble(programme: Path):
    with subprocess.Popen(command("analyze", programme), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as analysis:
        assert analysis.stdout is not None
        assert analysis.stderr is not None
        analysis.stdout.close()
        messages = analysis.stderr.read().decode()
        analysis.wait(120)
    assert "Traceback" not in messages
    assert "Broken" not in messages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_analyze_stopped_says_what_it_has(programme: Path, number):
    """Twenty seconds come down the pipe, then nothing, then the signal."""
    pcm = b"\0\1\0\1" * 44100 * 20
    with subprocess.Popen(
        command("analyze", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as analysis:
        assert analysis.stdin is not None
        assert analysis.stdout is not None
        analysis.stdin.write(pcm)
        analysis.stdin.flush()
        first = json.loads(analysis.stdout.readline())
        assert first["type"] == "streamseg.stream.started.v1"
        time.sleep(2)
        analysis.send_signal(number)
        out, messages = analysis.communicate(timeout=60)
    assert analysis.returncode == 1
    last = json.loads(out.splitlines()[-1])
    assert (last["type"], last["data"]["reason"]) == ("streamseg.stream.stopped.v1", "stopped")
    assert b"0:20.0 processed" in messages
    assert b"stopped at 0:20.0, before the end" in messages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_serve_stopped_says_everything_pending_to_its_clients(programme: Path, number):
    with start("serve", programme, "--port", "0", "--no-history") as serving:
        events = iter(subscribe_sync(serving.wait_for_address(), subscribe=["meter", "section", "stream"]))
        next(event for event in events if isinstance(event.data, MeterReading) and event.data.t > 2)
        serving.process.send_signal(number)
        last = [event.data for event in events_until_stopped(events)]
        code, out, messages = serving.end()
    assert code == 0
    assert isinstance(last[-2], SectionClosed)
    assert last[-2].at_end
    assert last[-1].reason == "stopped"
    assert "stopped (stopped)" in out
    assert re.search(r"programme: 0:0\d\.\d processed, 0 changes, 1 section\b", messages)


def events_until_stopped(events):
    for event in events:
        yield event
        if isinstance(event.data, StreamStopped):
            return


def hear_out(client):
    while True:
        client.recv(10)


def test_garbage_and_a_killed_client_disturb_nobody(programme: Path):
    with start("serve", programme, "-p", "broadcast", "--port", "0", "--no-history") as serving:
        address = serving.wait_for_address()
        where = urlsplit(address)
        good = iter(subscribe_sync(address, subscribe=["meter"]))
        with start("watch", address, "--json", "--subscribe", "meter") as watching:
            assert watching.process.stdout is not None
            assert json.loads(watching.process.stdout.readline())["type"] == "streamseg.meter.v1"
            watching.process.kill()
        for garbage in (b"\0" * 4000, b"GET /ws HTTP/1.1\r\n" + b"x" * 50_000, b"\xff" * 100_000):
            with socket.create_connection((where.hostname, where.port), timeout=10) as client:
                try:
                    client.sendall(garbage)
                    client.recv(1000)
                except OSError:
                    pass  # shut out, as it should be
        for nonsense in ("{", '{"op":"event","d":{}}', '{"op":"identify","d":{"protocol":99}}', b"\1\2"):
            with connect(address, subprotocols=["streamseg.v1.json"], compression=None) as client:
                client.recv(10)
                client.send(nonsense)
                with pytest.raises(ConnectionClosed, match="40"):
                    hear_out(client)
        times = [next(good).data.t for _ in range(20)]
        assert np.diff(times) == pytest.approx(np.diff(times)[0], abs=1e-3)
        status = json.load(urlopen(f"http://{where.netloc}/status", timeout=10))
        assert status["streams"]["programme"]["dropped_samples"] == 0
        code, _, messages = serving.stop()
    assert code == 0
    assert "Traceback" not in messages


def test_one_stream_that_fails_leaves_the_other_alone(programme: Path, cut_mp3: Path):
    done = run("serve", f"good={programme}", f"bad={cut_mp3}", "--fast", "--port", "0", "--no-history")
    failed(done, 1, "1 of 2 streams failed: bad")
    assert "streamseg: bad: " in done.stderr
    assert re.search(r"good: 1:18\.0 processed", done.stderr)
    assert re.search(r"bad: 0:50\.\d processed", done.stderr)


def test_what_was_served_is_kept_and_analysed_again(programme: Path, tmp_path: Path):
    """Live is file: a capture says again what it said live."""
    half_a_minute, kept = tmp_path / "first.wav", tmp_path / "kept.wav"
    soundfile.write(half_a_minute, soundfile.read(programme, frames=32 * SAMPLE_RATE)[0], SAMPLE_RATE, subtype="FLOAT")
    with start("serve", half_a_minute, "--port", "0", "--history", tmp_path / "history", "--save", kept) as serving:
        live = list(events_until_stopped(iter(subscribe_sync(serving.wait_for_address()))))
        assert serving.end()[0] == 0
    again = run("analyze", kept)
    assert again.returncode == 0, again.stderr
    file = [decode_envelope(line) for line in again.stdout.splitlines()]
    assert sum(event.type == "streamseg.boundary.confirmed.v1" for event in live) >= 1
    assert [event.event for event in live if event.offset > 1] == [event.event for event in file[1:]]


def test_watch_resumes_when_the_server_comes_back(programme: Path, tmp_path: Path):
    history = tmp_path / "history.sqlite"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    topics = [word for topic in (*ALL_TOPICS, "meter") for word in ("--subscribe", topic)]
    events: list[dict] = []
    with start("watch", f"ws://127.0.0.1:{port}/ws", "--json", *topics) as watching:

        def read_until(word: str) -> None:
            """Until an event of this kind, in a run that had none of it yet."""
            known = {event["epoch"] for event in events if word in event["type"]}
            while not events or events[-1]["epoch"] in known or word not in events[-1]["type"]:
                assert watching.process.stdout is not None
                events.append(json.loads(watching.process.stdout.readline()))

        watching.wait_for_message("no answer")
        for said in (r"programme: connected\n", "connected again; no event was missed"):
            with start("serve", programme, "--port", port, "--history", history) as serving:
                watching.wait_for_message(said)  # it tries every ten seconds at least; the server waits for it
                read_until("meter")
                assert serving.stop()[0] == 0
        assert watching.stop()[0] == 0
    kept = [event for event in events if "offset" in event]
    runs = list(dict.fromkeys(event["epoch"] for event in kept))
    assert len(runs) == 2
    assert next(event["type"] for event in reversed(kept) if event["epoch"] == runs[0]) == "streamseg.stream.stopped.v1"
    for epoch in runs:
        offsets = [event["offset"] for event in kept if event["epoch"] == epoch]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))


def test_watch_lists_the_topics_when_one_is_wrong():
    listing = "no topic 'foo' to subscribe to; choose of: boundary, section, sound, alarm,"
    failed(run("watch", "ws://127.0.0.1:1/ws", "--subscribe", "boundary", "--subscribe", "foo"), 2, listing)


def test_watch_tells_a_wrong_address_at_once():
    failed(run("watch", "http://127.0.0.1:1/ws"), 1, "not a WebSocket address")
