"""Makes the Prometheus metrics of the server, from the hub, at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from streamseg.server.http import HttpBody
from streamseg.server.hub import Hub
from streamseg.server.stream import ServedStream

STREAM_GAUGES = (
    ("lag_seconds", "how far the engine is behind the sound", lambda stream: stream.progress.lag_s),
    ("stream_seconds", "sound processed in this epoch", lambda stream: stream.progress.t),
    ("watermark_seconds", "nothing at or before it changes any more", lambda stream: stream.progress.watermark),
    ("dropped_samples", "samples lost in this epoch, per channel", lambda stream: stream.progress.dropped_samples),
    ("engine_seconds", "time the engine worked in this epoch", lambda stream: stream.progress.engine_s),
    (
        "engine_seconds_per_second",
        "time the engine works for a second of sound",
        lambda stream: stream.progress.engine_s / stream.progress.t if stream.progress.t else 0.0,
    ),
)


class HubMetrics(Collector):
    """Collects the Prometheus metrics of a hub and its clients."""

    def __init__(self, hub: Hub, get_queue_bytes: Callable[[], Iterable[int]]) -> None:
        """get_queue_bytes: returns, for each client, the bytes that wait for it to read."""
        self._hub = hub
        self._get_queue_bytes = get_queue_bytes
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> HttpBody:
        """Return all metrics in Prometheus's text format, the body of `/metrics`."""
        return HttpBody(CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their present values. Called by `prometheus_client` at each scrape."""
        streams = list(self._hub.streams.values())
        for name, help_, value in STREAM_GAUGES:
            yield _make_gauge(name, help_, streams, value)
        events = CounterMetricFamily("streamseg_events", "events sent to clients", labels=["stream", "type"])
        for stream in streams:
            for type_, n in sorted(stream.event_counts.items()):
                events.add_metric([stream.name, type_], n)
        yield events
        queues = list(self._get_queue_bytes())
        yield GaugeMetricFamily("streamseg_clients", "connected clients", value=len(queues))
        yield GaugeMetricFamily("streamseg_queue_bytes", "bytes that wait for all clients together", value=sum(queues))
        longest = max(queues, default=0)
        yield GaugeMetricFamily("streamseg_queue_bytes_max", "bytes that wait for the slowest client", value=longest)
        yield CounterMetricFamily(
            "streamseg_slow_clients", "clients closed for reading too slowly", value=self._hub.slow_clients
        )
        yield CounterMetricFamily(
            "streamseg_shed_events", "high-volume events dropped for slow clients", value=self._hub.dropped_events
        )
        failing = self._hub.failure is not None
        yield GaugeMetricFamily("streamseg_history_failing", "1 while events are not recorded", value=int(failing))


def _make_gauge(
    name: str, help_: str, streams: list[ServedStream], value: Callable[[ServedStream], float]
) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"streamseg_{name}", help_, labels=["stream"])
    for stream in streams:
        gauge.add_metric([stream.name], value(stream))
    return gauge
