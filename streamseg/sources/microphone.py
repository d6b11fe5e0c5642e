"""A sound card's input.

PortAudio's callback copies each buffer into the ring and does nothing else: no allocation worth the name, no
lock, no log, nothing of unpredictable duration. The worker that iterates takes the buffers out as they come
and lets `LossDetector` see them. Nothing here raises once the first sample has come: a card that vanishes or
freezes is said (`SourceAway`), waited for, and resumed with the time in between as a `Gap`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from streamseg.blocks import Gap, SourceAway, SourceItem
from streamseg.errors import DeviceNotFoundError, SourceError, UsageError
from streamseg.sources.devices import find_device, hold_open_stream, import_portaudio, rescan_devices, silence_stderr
from streamseg.sources.loss_detector import LossDetector
from streamseg.sources.ring_buffer import RingBuffer, to_unix_time

RING_S = 10.0  # how long the worker may be busy before anything is lost
POLL_S = 0.004  # the callback must not wake anybody, so the worker looks
BUFFER_S = 0.1  # asked of PortAudio: four buffers of 25 ms; with less, PulseAudio delivers in bursts
STALL_S = 2.0  # no buffer for so long means that the card froze
REOPEN_S = 10.0  # frozen for so long, it is closed and opened again
START_S = 5.0  # a sound server may take seconds to start the card
RETRY_S = 1.0


class _DeviceCapture:
    """One opened stream; there is a new one each time the card comes back."""

    def __init__(self, device_name: str | None, sample_rate: int, channels: int) -> None:
        """Open and start. Raises DeviceNotFound, or sounddevice's PortAudioError."""
        self.ring = RingBuffer(round(RING_S * sample_rate), channels)
        self.has_ended = False
        self.last_arrival = time.monotonic()
        with ExitStack() as opening:
            opening.enter_context(hold_open_stream())
            with silence_stderr():
                stream = import_portaudio().InputStream(
                    device=find_device(device_name).index,
                    samplerate=sample_rate,
                    channels=channels,
                    dtype="float32",
                    blocksize=0,  # the card's own: any other size is put together inside PortAudio, later
                    latency=BUFFER_S,
                    callback=self._callback,
                    finished_callback=self._on_finished,
                )
                opening.callback(stream.close, ignore_errors=True)
                stream.start()
            self._resources = opening.pop_all()

    def _callback(self, frames: Any, _count: int, _time: Any, _status: Any) -> None:
        self.ring.write_chunk(frames, time.monotonic())

    def _on_finished(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        """Stop and free the stream; given up after a second, because a frozen sound server never answers."""

        def stop() -> None:
            with silence_stderr():
                self._resources.close()

        closer = threading.Thread(target=stop, name="close sound card", daemon=True)
        closer.start()
        closer.join(1.0)


class Microphone:
    """An input device, by (part of) its name; the system's default without one."""

    def __init__(
        self, device_name: str | None = None, *, sample_rate: int | None = None, channels: int | None = None
    ) -> None:
        """Find the device; it is opened when iteration begins.

        sample_rate: Hz, the device's own by default. channels: two, or one where there is only one, by default.
        Raises SystemPartMissing, DeviceNotFound, AskedWrongly.
        """
        device = find_device(device_name)
        self.name = "mic" if device_name is None else f"mic:{device_name}"
        self.sample_rate = sample_rate or device.sample_rate
        self.channels = channels or min(device.channels, 2)
        if self.channels > device.channels:
            raise UsageError(f"{device.name} has {device.channels} channels, {channels} were asked for")
        self._device_name = device_name
        self._loss_detector = LossDetector(self.sample_rate, to_unix_time)
        self._away_since: float | None = None
        self._return_notice: SourceAway | None = None  # to be said as soon as the watch knows what is missing
        self._close_event = threading.Event()

    @property
    def dropped_samples(self) -> int:
        """Samples (per channel) lost so far, all of them said as `Gap`."""
        return self._loss_detector.missing_samples

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._close_event.set()

    def __iter__(self) -> Iterator[SourceItem]:
        """Listen until closed. Raises SourceFailed when the device cannot be opened the first time."""
        try:
            capture = _DeviceCapture(self._device_name, self.sample_rate, self.channels)
        except import_portaudio().PortAudioError as error:
            raise SourceError(
                f"{self.name} cannot be opened at {self.sample_rate} Hz with {self.channels} channels: {error}; "
                "is another program using it? (streamseg devices)"
            ) from None
        while True:
            try:
                yield from self._read_capture(capture)
            finally:
                capture.close()
            yield from self._read_ring(capture)  # what came until it was closed
            yield from self._loss_detector.release_items()
            if self._close_event.is_set():
                return
            if self._away_since is None:
                self._away_since = time.monotonic()
                yield SourceAway(f"{self.name}: the device is gone; waiting for it")
            self._loss_detector.expect_loss("device-lost", reopened=True)
            again = self._reopen()
            if again is None:
                return
            capture = again

    def _read_capture(self, capture: _DeviceCapture) -> Iterator[SourceItem]:
        """The items of one capture, until it ends, freezes for long, or we are closed."""
        patience_s = START_S
        while not self._close_event.is_set():
            for item in self._read_ring(capture):
                patience_s = STALL_S
                yield item
            silent_s = time.monotonic() - capture.last_arrival
            if capture.has_ended or silent_s > REOPEN_S:
                return
            if silent_s > patience_s and self._away_since is None:
                self._away_since = capture.last_arrival
                self._loss_detector.expect_loss("stalled", reopened=False)
                yield SourceAway(f"{self.name}: no sound has come for {silent_s:.1f} s; waiting for it")
            time.sleep(POLL_S)

    def _read_ring(self, capture: _DeviceCapture) -> Iterator[SourceItem]:
        """What is in the ring now; the first of it after an absence ends that."""
        while (chunk := capture.ring.read_chunk()) is not None:
            capture.last_arrival = chunk.arrived
            items = self._loss_detector.push(chunk)
            if self._away_since is not None:
                self._return_notice = SourceAway("", back=True, away_s=chunk.arrived - self._away_since)
                self._away_since = None
            if self._return_notice is not None and items:
                items.insert(1 if isinstance(items[0], Gap) else 0, self._return_notice)
                self._return_notice = None
            yield from items

    def _reopen(self) -> _DeviceCapture | None:
        """Try once a second until the device is back; None when closed meanwhile."""
        while not self._close_event.wait(RETRY_S):
            try:
                rescan_devices()
                return _DeviceCapture(self._device_name, self.sample_rate, self.channels)
            except (DeviceNotFoundError, import_portaudio().PortAudioError):
                continue
        return None
