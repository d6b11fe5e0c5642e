"""A source that reads an input of a sound card through PortAudio.

PortAudio's callback copies each buffer into the ring buffer and does nothing else: it allocates almost nothing, takes
no lock, logs nothing, and calls nothing of unpredictable duration. The worker thread that iterates reads the buffers
and passes them to `LossDetector`. After the first sample nothing here raises: when a card disappears or freezes, the
source yields `SourceAvailabilityChange`, waits, and continues with the time between as a `Gap`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np

from streamseg.blocks import Gap, SourceAvailabilityChange, SourceItem
from streamseg.errors import DeviceNotFoundError, SourceError, UsageError
from streamseg.sources.devices import find_device, import_portaudio, prevent_rescan, rescan_devices, silence_stderr
from streamseg.sources.loss_detector import LossDetector
from streamseg.sources.ring_buffer import RingBuffer, to_unix_time

RING_S = 10.0  # the worker may be busy this long before samples are lost
POLL_S = 0.004  # the callback must not wake a thread, so the worker polls
BUFFER_S = 0.1  # requested of PortAudio: four buffers of 25 ms; with less, PulseAudio delivers in bursts
STALL_S = 2.0  # without a buffer for this long, the card is frozen
REOPEN_S = 10.0  # when frozen for this long, the card is closed and opened again
START_S = 5.0  # a sound server may need seconds to start the card
RETRY_S = 1.0


class _DeviceCapture:
    """One open PortAudio stream; a new one is created each time the card returns."""

    def __init__(self, device_name: str | None, sample_rate: int, channels: int) -> None:
        """Open and start the stream. Raises DeviceNotFoundError, or sounddevice's PortAudioError."""
        self.ring = RingBuffer(round(RING_S * sample_rate), channels)
        self._channels = channels
        self.has_ended = False
        self.last_arrival = time.monotonic()
        with ExitStack() as stack:
            stack.enter_context(prevent_rescan())
            with silence_stderr():
                stream = import_portaudio().RawInputStream(  # InputStream makes arrays as NumPy 2.5 deprecates it
                    device=find_device(device_name).index,
                    samplerate=sample_rate,
                    channels=channels,
                    dtype="float32",
                    blocksize=0,  # the card's own; PortAudio would have to assemble any other size, with a delay
                    latency=BUFFER_S,
                    callback=self._callback,
                    finished_callback=self._on_finished,
                )
                stack.callback(stream.close, ignore_errors=True)
                stream.start()
            self._resources = stack.pop_all()

    def _callback(self, frames: Any, _count: int, _time: Any, _status: Any) -> None:
        samples = np.frombuffer(frames, np.float32).reshape(-1, self._channels)
        self.ring.write_chunk(samples, time.monotonic())

    def _on_finished(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        """Stop and free the stream; waits a second at most, because a frozen sound server never answers."""

        def close_stream() -> None:
            with silence_stderr():
                self._resources.close()

        closer = threading.Thread(target=close_stream, name="close sound card", daemon=True)
        closer.start()
        closer.join(1.0)


class Microphone:
    """A source that yields the sound of one input device until `close`; if the device disappears, it waits for it."""

    def __init__(
        self, device_name: str | None = None, *, sample_rate: int | None = None, channels: int | None = None
    ) -> None:
        """Find the device. The iteration opens it.

        device_name: its name, or a part that only one name contains; None: the default device of the system.
        sample_rate: Hz; None: the device's own. channels: None: two, or one where the device has only one.
        Raises MissingLibraryError, DeviceNotFoundError, UsageError.
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
        # the notice that the device is back; it is yielded once the loss detector has determined the gap
        self._return_notice: SourceAvailabilityChange | None = None
        self._close_event = threading.Event()

    @property
    def dropped_samples(self) -> int:
        """The number of samples (per channel) lost so far; each of them is part of a yielded `Gap`."""
        return self._loss_detector.missing_samples

    def close(self) -> None:
        """Stop listening: the iteration yields the sound that has already arrived, then ends.

        It may be called from any thread.
        """
        self._close_event.set()

    def __iter__(self) -> Iterator[SourceItem]:
        """Open the device; yield its blocks, gaps and absences until `close` is called.

        Raises SourceError when the device cannot be opened the first time. Later failures are yielded as
        `SourceAvailabilityChange`.
        """
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
            yield from self._read_ring(capture)  # the buffers that arrived before it was closed
            yield from self._loss_detector.flush_withheld_items()
            if self._close_event.is_set():
                return
            if self._away_since is None:
                self._away_since = time.monotonic()
                yield SourceAvailabilityChange(f"{self.name}: the device is gone; waiting for it")
            self._loss_detector.expect_loss("device-lost", is_reopened=True)
            new_capture = self._reopen_device()
            if new_capture is None:
                return
            capture = new_capture

    def _read_capture(self, capture: _DeviceCapture) -> Iterator[SourceItem]:
        """Yield the items of one stream until it ends, has been frozen for REOPEN_S, or `close` is called."""
        timeout_s = START_S
        while not self._close_event.is_set():
            for item in self._read_ring(capture):
                timeout_s = STALL_S
                yield item
            silent_s = time.monotonic() - capture.last_arrival
            if capture.has_ended or silent_s > REOPEN_S:
                return
            if silent_s > timeout_s and self._away_since is None:
                self._away_since = capture.last_arrival
                self._loss_detector.expect_loss("stalled", is_reopened=False)
                yield SourceAvailabilityChange(f"{self.name}: no sound has come for {silent_s:.1f} s; waiting for it")
            time.sleep(POLL_S)

    def _read_ring(self, capture: _DeviceCapture) -> Iterator[SourceItem]:
        """Yield what is in the ring buffer now; the first chunk after an absence ends the absence."""
        while (chunk := capture.ring.read_chunk()) is not None:
            capture.last_arrival = chunk.arrival_s
            items = self._loss_detector.push_chunk(chunk)
            if self._away_since is not None:
                self._return_notice = SourceAvailabilityChange("", back=True, away_s=chunk.arrival_s - self._away_since)
                self._away_since = None
            if self._return_notice is not None and items:
                items.insert(1 if isinstance(items[0], Gap) else 0, self._return_notice)
                self._return_notice = None
            yield from items

    def _reopen_device(self) -> _DeviceCapture | None:
        """Try once a second until the device is back; returns None after `close`."""
        while not self._close_event.wait(RETRY_S):
            try:
                rescan_devices()
                return _DeviceCapture(self._device_name, self.sample_rate, self.channels)
            except (DeviceNotFoundError, import_portaudio().PortAudioError):
                continue
        return None
