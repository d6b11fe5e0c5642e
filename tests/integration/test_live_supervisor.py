"""Many sessions beside an event loop, and everything live that Python users have without the command line."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from streamseg import (
    Block,
    Envelope,
    Hub,
    NameStore,
    Session,
    StreamProgress,
    StreamStarted,
    StreamStopped,
    Supervisor,
    UsageError,
    compile_kernels,
    make_settings,
    open_feedback_store,
    open_name_store,
    serve,
    subscribe,
    teach_jingle,
)
from streamseg.client import StreamJoined
from streamseg.errors import HistoryError, TruncatedSourceError

RATE = 22_050
SECOND = Block(np.random.default_rng(0).standard_normal((RATE, 1)).astype(np.float32) / 10, RATE)


class Blocks:
    """A source of n blocks, without end where n is None; `failure` is raised after the last."""

    dropped_samples = 0

    def __init__(self, n=None, failure=None, name="blocks"):
        self.n, self.failure, self.name = n, failure, name
        self.closed = threading.Event()

    def __iter__(self):
        count = 0
        while count != self.n and not self.closed.wait(0.001):
            count += 1
            yield SECOND
        if self.failure:
            raise self.failure

    def close(self):
        self.closed.set()


class Log:
    """What a supervisor called back with, by stream."""

    def __init__(self):
        self.data, self.progress, self.ends, self.threads = {}, {}, {}, set()

    def on_events(self, session, envelopes, progress):
        self.threads.add(threading.current_thread())
        self.data.setdefault(session.stream, []).extend(envelope.data for envelope in envelopes)
        self.progress[session.stream] = progress

    def on_end(self, session, error):
        self.ends[session.stream] = error


def sessions(**sources):
    return [Session(name, source, make_settings("room")) for name, source in sources.items()]


async def test_every_session_runs_to_its_end_and_calls_back_on_the_loop():
    log = Log()
    failure = TruncatedSourceError("cut")
    running = sessions(one=Blocks(3), two=Blocks(5), bad=Blocks(2, failure))
    await Supervisor(running, log.on_events, log.on_end).run()
    assert log.threads == {threading.current_thread()}
    for name, seconds in (("one", 3.0), ("two", 5.0), ("bad", 2.0)):
        assert isinstance(log.data[name][0], StreamStarted)
        assert isinstance(log.data[name][-1], StreamStopped)
        assert log.data[name][-1].t == seconds == log.progress[name].t
        assert isinstance(log.progress[name], StreamProgress)
    assert log.ends == {"one": None, "two": None, "bad": failure}
    assert [session.failure for session in running] == [None, None, failure]


async def test_stop_ends_sources_and_delivers_what_is_pending():
    log = Log()
    supervisor = Supervisor(sessions(a=Blocks(), b=Blocks()), log.on_events)
    asyncio.get_running_loop().call_later(0.5, supervisor.stop)
    await supervisor.run()
    for name in ("a", "b"):
        assert log.data[name][-1].reason == "stopped"
        assert log.data[name][-1].t == log.progress[name].t > 0


async def test_a_cancelled_run_stops_its_sessions_first():
    log = Log()
    task = asyncio.create_task(Supervisor(sessions(a=Blocks()), log.on_events, log.on_end).run())
    while "a" not in log.data:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.data["a"][-1].reason == "stopped"
    assert log.ends == {"a": None}


async def test_a_callback_that_fails_ends_everything_and_is_raised():
    log = Log()

    def fail(session, envelopes, progress):
        if session.stream == "a" and log.data.get("b"):
            raise OSError("the terminal is gone")
        log.on_events(session, envelopes, progress)

    with pytest.raises(OSError, match="the terminal is gone"):
        await Supervisor(sessions(a=Blocks(), b=Blocks()), fail).run()
    assert log.data["b"][-1].reason == "stopped"


async def test_an_unforeseen_error_leaves_the_other_streams_alone():
    log = Log()
    defect = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError, match="ours"):
        await Supervisor(sessions(a=Blocks(1, defect), b=Blocks(4)), log.on_events, log.on_end).run()
    assert log.ends == {"a": defect, "b": None}
    assert log.data["b"][-1].t == 4.0


def test_two_streams_of_one_name_are_refused():
    with pytest.raises(UsageError, match="2 streams have the name 'a'"):
        Supervisor([*sessions(a=Blocks(1)), *sessions(a=Blocks(1))], Log().on_events)
    with pytest.raises(UsageError, match="no session"):
        Supervisor([], Log().on_events)


async def test_a_session_is_served_without_the_command_line():
    (session,) = sessions(studio=Blocks())
    hub = Hub()
    hub.add_stream(session.stream, session.epoch, session)
    supervisor = Supervisor(
        [session], lambda session, envelopes, progress: hub.publish(session.stream, envelopes, progress)
    )
    async with serve(hub, "127.0.0.1", 0) as server, asyncio.timeout(60):
        subscription = subscribe(f"ws://127.0.0.1:{server.port}/ws", subscribe=["stream"])
        async with contextlib.aclosing(subscription.messages()) as messages:
            async for message in messages:
                if isinstance(message, StreamJoined):  # from now on the client misses nothing
                    run = asyncio.create_task(supervisor.run())
                elif isinstance(message, Envelope) and isinstance(message.data, StreamStarted):
                    supervisor.stop()
                elif isinstance(message, Envelope) and isinstance(message.data, StreamStopped):
                    break
        await run
    assert (message.source, message.data.reason) == ("/streams/studio", "stopped")


def test_live_loads_neither_server_nor_command_line():
    program = "import sys, streamseg.live; "
    program += (
        "print([name for name in sys.modules if name.startswith(('streamseg.server', 'streamseg.cli', 'typer'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_kernels_are_compiled_once():
    took_s = compile_kernels()
    assert took_s > 0
    assert compile_kernels() == took_s


def test_a_store_that_fails_is_a_warning_and_the_stream_goes_on(tmp_path, caplog, capsys):
    class FullStore(NameStore):
        def add_entry(self, entry, stream=""):
            raise HistoryError("disk full")

    source = Blocks(30)
    session = Session("s", source, make_settings("room"), name_store=FullStore(tmp_path / "memory.sqlite"))
    with caplog.at_level(logging.WARNING, "streamseg.live"):
        for n, _ in enumerate(session):
            if n == 20:
                session.name_label("A", "Noise", "test")
    assert session.failure is None
    assert [record.message for record in caplog.records] == [
        "s: the name 'Noise' holds for this run only and is not stored: disk full"
    ]
    assert capsys.readouterr() == ("", "")


def test_stores_lie_beside_the_history(tmp_path):
    history = tmp_path / "history.sqlite"
    assert open_name_store(history=history).path == tmp_path / "memory.sqlite"
    assert open_feedback_store(history=history).path == tmp_path / "lessons.json"
    assert open_name_store(tmp_path / "mine.sqlite", history).path == tmp_path / "mine.sqlite"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "other.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(UsageError, match=r"other\.sqlite"):
        open_name_store(tmp_path / "other.sqlite")


def test_a_jingle_is_taught_from_a_part_of_a_file(tmp_path):
    t = np.arange(6 * RATE) / RATE
    sweep = 0.3 * np.sin(2 * np.pi * (200 * t + 300 * np.sin(5 * t)))
    soundfile.write(tmp_path / "show.wav", sweep, RATE)
    store = open_name_store(tmp_path / "memory.sqlite")
    fingerprint = teach_jingle(store, "News", tmp_path / "show.wav", 1.0, 3.5)
    assert fingerprint.compared_duration_s == pytest.approx(2.5, abs=0.15)
    assert [(entry.name, entry.kind) for entry in store.list_entries()] == [("News", "cue")]
    with pytest.raises(UsageError, match="is too short to be recognised"):
        teach_jingle(store, "Short", tmp_path / "show.wav", 0.0, 1.0)
