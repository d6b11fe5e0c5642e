"""A server without sound: publishes events as an engine might emit them, at any rate.

As a command it is a server process: it prints `port N` when clients may connect, and can be killed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from pathlib import Path

from ulid import ULID

from streamseg.history import writer_thread
from streamseg.server import Hub, StreamProgress, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire.envelope import Envelope, EventSequencer

if sys.platform != "win32":
    import resource


class Talker:
    """Makes plausible events of one stream, without end; equal seeds give equal events."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.t = 0.0
        self.section = 0

    def start(self) -> e.Event:
        return e.Event(
            "stream",
            e.StreamStarted(
                sample_rate=22050, channels=1, source="talker", profile="music", settings={}, latency_s=0.0, hashes={}
            ),
        )

    def stop(self, reason: str = "end") -> e.Event:
        return e.Event("stream", e.StreamStopped(t=self.t, reason=reason, totals={}))

    def meter(self) -> e.Event:
        return e.Event("meter", e.MeterReading(t=self.t, rms_db=-20.0, peak_db=-10.0))

    def provisional(self) -> e.Event:
        data = e.BoundaryProvisional(
            boundary_id=f"b-{self.section}", t=self.t - 2, decided_t=self.t, stability=0.7, score=1.2
        )
        return e.Event(data.boundary_id, data)

    def change(self) -> list[e.Event]:
        """Make a boundary and the section that it ends."""
        before, self.section = self.section, self.section + 1
        label = self.random.choice("ABCDE")
        confirmed = e.BoundaryConfirmed(
            boundary_id=f"b-{before}",
            t=self.t - 2,
            decided_t=self.t,
            t_uncertainty=0.3,
            confidence=0.8,
            evidence=e.FeatureDistances(timbre=0.5, harmony=0.2, rhythm=0.1, level=0.9),
            snapped_to=None,
            prev=e.PreviousSection(section_id=f"s-{before}", label="A"),
            next=e.NextSection(section_id=f"s-{before + 1}", label=label, seen_before=False, last_seen=None),
        )
        closed = e.SectionClosed(
            section_id=f"s-{before}",
            start=max(0.0, self.t - 12),
            end=self.t - 2,
            ended_by="boundary",
            label="A",
            name=None,
            label_confidence=0.6,
            report=e.Report(duration_s=10.0, integrated_lufs=-14.2, key="Am", chroma=tuple([0.1] * 12)),
        )
        return [e.Event(confirmed.boundary_id, confirmed), e.Event(closed.section_id, closed)]

    def say(self) -> list[e.Event]:
        """Make the one to three events of one step of the engine."""
        self.t += 0.5
        roll = self.random.random()
        if roll < 0.4:
            return [self.provisional()]
        if roll < 0.8:
            return self.change()
        sound = e.SoundChanged(
            t=self.t,
            decided_t=self.t,
            speech=roll < 0.9,
            music=True,
            silence=False,
            confidence=e.SoundConfidence(speech=0.5, music=0.9, silence=0.0),
        )
        return [*self.change(), e.Event("sound", sound)]


class Feed:
    """Publishes the events of one stream to a hub."""

    def __init__(self, hub: Hub, name: str = "mic", seed: int = 0) -> None:
        self.hub, self.stream = hub, name
        self.talker = Talker(seed)
        self.said: list[Envelope] = []
        self.keep_said = True
        self.begin()
        hub.add_stream(name, self.sequencer.epoch, self)
        self.asked: list[tuple] = []

    def begin(self) -> None:
        self.sequencer = EventSequencer(self.stream, str(ULID()), time.time)

    def publish(self, *events: e.Event) -> list[Envelope]:
        envelopes = self.sequencer.stamp_events(events)
        if self.keep_said:
            self.said += envelopes
        t = self.talker.t
        self.hub.publish(self.stream, envelopes, StreamProgress(t, max(0.0, t - 8)))
        return envelopes

    def step(self) -> list[Envelope]:
        return self.publish(*self.talker.say())

    # Controls
    def finish(self) -> None:
        self.asked.append(("finish",))
        self.publish(self.talker.stop())

    def request_new_epoch(self) -> None:
        self.asked.append(("reset",))
        self.publish(self.talker.stop("reset"))
        self.begin()
        self.publish(self.talker.start())

    def mark_boundary(self, t: float, verdict: str) -> None:
        self.asked.append(("mark", t, verdict))

    def name_label(self, label: str, name: str, by: str) -> None:
        self.asked.append(("name", label, name, by))
        self.publish(e.Event(label, e.LabelNamed(label=label, name=name, by=by)))

    def set_next_epoch_sensitivity(self, sensitivity: float) -> None:
        self.asked.append(("set", sensitivity))

    def acknowledge_alarm(self, alarm: e.AlarmKind, by: str) -> None:
        self.asked.append(("acknowledge", alarm, by))
        self.publish(e.Event(alarm, e.AlarmAcknowledged(alarm=alarm, by=by)))

    def publish_event(self, event: e.Event) -> None:
        self.publish(event)


async def run(arguments: argparse.Namespace) -> None:
    writer_thread.RETRY_S = arguments.retry_s
    ours = {"max_connections_per_address": 20_000, "messages_per_s": 1000, "message_burst": 10_000}
    settings = ServerSettings(
        heartbeat_s=arguments.heartbeat_s,
        history_events=arguments.history_events,
        **({} if arguments.strict else ours),
    )
    hub = Hub(settings, history=arguments.history)
    feeds = [Feed(hub, name, seed=os.getpid()) for name in arguments.streams]
    for feed in feeds:
        feed.keep_said = False
    async with serve(hub, port=arguments.port) as server:
        print("port", server.port, flush=True)
        for feed in feeds:
            feed.publish(feed.talker.start())
        asked = asyncio.create_task(watch_stdin())
        due = time.perf_counter()
        while not asked.done():
            for feed in feeds:
                feed.step()
                if feed.talker.random.random() < arguments.reset_chance:
                    feed.request_new_epoch()
            due += 1 / arguments.steps_per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        for feed in feeds:
            feed.publish(feed.talker.stop())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print("cpu", usage.ru_utime + usage.ru_stime, "rss_kib", usage.ru_maxrss, flush=True)


async def watch_stdin() -> None:
    """Return when standard input closes: the parent asks for the end, or has ended."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--history", type=Path)
    options.add_argument("--history-events", type=int, default=1_000_000)
    options.add_argument("--streams", nargs="+", default=["mic"])
    options.add_argument("--steps-per-s", type=float, default=50.0)
    options.add_argument("--reset-chance", type=float, default=0.0)
    options.add_argument("--heartbeat-s", type=float, default=1.0)
    options.add_argument("--strict", action="store_true", help="strangers are bounded as they are for users")
    options.add_argument("--retry-s", type=float, default=5.0, help="how often a failing disk is tried")
    options.add_argument("--open-files", type=int, help="how many files the process may open, at most")
    return options


def main() -> None:
    arguments = parser().parse_args()
    if arguments.open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (arguments.open_files, arguments.open_files))
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
