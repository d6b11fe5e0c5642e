"""Detects samples that a sound system lost without reporting it; distinguishes loss from delay and from clock drift.

A sound card delivers `sample_rate` frames a second by its own clock. The *lag* is the time that has passed, less the
duration of the frames counted so far:

- late chunks increase the lag, and the backlog that follows decreases it again: nothing is missing;
- lost frames increase it permanently;
- the card's clock, a little fast or slow, changes it steadily by a few parts in ten thousand.

A chunk whose lag exceeds the expected one by `SUSPICION_S` is therefore withheld, with all chunks that follow, until
the lag is normal again (nothing was lost) or has not decreased for `SETTLE_S`. Then the remaining lag was lost, and the
gap is placed at the end of the backlog, because a full queue refuses the newest frames. Below that threshold the
expected lag follows the measured one, upwards by at most `DRIFT`, so that many small losses add up to a gap, but drift
does not.

The time stamp that PortAudio gives a buffer (`inputBufferAdcTime`) would show a loss sooner, but with PulseAudio it is
wrong by up to 0.7 s in the first seconds of a capture (measured); the time of arrival is correct.
"""

from __future__ import annotations

from collections.abc import Callable

from streamseg.blocks import Block, Gap, GapCause, SourceItem
from streamseg.sources.ring_buffer import RingChunk

SUSPICION_S = 0.05  # two callbacks of 25 ms; the scheduler alone causes smaller delays
SETTLE_S = 0.5  # a backlog arrives much faster than real time, so it has ended after half a second without progress
DRIFT = 0.002  # ten times the drift of a bad crystal
_WINDOW_S = 1.0  # the smallest lag is taken over windows of this length
_AT_FLOOR_S = 0.01


class LossDetector:
    """Converts the chunks of a microphone to blocks, and inserts a gap where the times of arrival show lost samples."""

    def __init__(self, sample_rate: int, unix_time: Callable[[float], float]) -> None:
        """sample_rate: nominal, Hz. unix_time: the function that converts a chunk's `arrival_s` to Unix seconds."""
        self.missing_samples = 0  # detected so far, per channel
        self._cause: GapCause = "overflow"
        self._was_reopened = False
        self._rate = sample_rate
        self._unix_time = unix_time
        self._start: float | None = None
        self._frames = 0
        self._expected_lag_s = 0.0
        self._window_end = 0.0
        self._window_floor_s = float("inf")
        self._withheld_items: list[tuple[float, list[SourceItem]]] = []  # the items of each chunk with its lag
        self._falling_from_s = 0.0
        self._falling_at = 0.0

    def expect_loss(self, cause: GapCause, *, is_reopened: bool) -> None:
        """Set the cause that the next gap reports; call it when the device stalls or is reopened.

        is_reopened: the device was reopened, so it delivers no backlog, and the gap precedes the next chunk.
        """
        self._cause, self._was_reopened = cause, is_reopened

    def push_chunk(self, chunk: RingChunk) -> list[SourceItem]:
        """Convert the next chunk; return the blocks and gaps that are certain, in order; [] while a loss is suspected.

        When the suspicion is decided, returns everything that was withheld.
        """
        if self._start is None:
            self._start = chunk.arrival_s - len(chunk.samples) / self._rate
            self._window_end = chunk.arrival_s + _WINDOW_S
        items: list[SourceItem] = []
        if chunk.missing_before:
            items.append(Gap(chunk.missing_before, "overflow"))
            self.missing_samples += chunk.missing_before
        items.append(Block(chunk.samples, self._rate, self._unix_time(chunk.arrival_s)))
        self._frames += chunk.missing_before + len(chunk.samples)
        lag_s = chunk.arrival_s - self._start - self._frames / self._rate
        if lag_s - self._expected_lag_s > SUSPICION_S:
            return self._withhold_items(items, lag_s, chunk.arrival_s)
        self._update_expected_lag(lag_s, chunk.arrival_s)
        self.expect_loss("overflow", is_reopened=False)  # the expected loss has not occurred
        return self.flush_withheld_items() + items

    def flush_withheld_items(self) -> list[SourceItem]:
        """Return the items that are withheld because of a suspected loss, and forget them; no gap is inserted."""
        withheld_items, self._withheld_items = self._withheld_items, []
        return [item for _, items in withheld_items for item in items]

    def _withhold_items(self, items: list[SourceItem], lag_s: float, now: float) -> list[SourceItem]:
        """Withhold the items of a chunk; when the lag has settled, insert the gap and return all items."""
        if not self._withheld_items or lag_s < self._falling_from_s - SUSPICION_S:
            self._falling_from_s, self._falling_at = lag_s, now
        self._withheld_items.append((lag_s, items))
        if now - self._falling_at < SETTLE_S:
            return []
        floor_s = min(lag_s for lag_s, _ in self._withheld_items)
        missing = round((floor_s - self._expected_lag_s) * self._rate)
        first_at_floor = next(n for n, (lag_s, _) in enumerate(self._withheld_items) if lag_s <= floor_s + _AT_FLOOR_S)
        backlog = first_at_floor + 1 if first_at_floor and not self._was_reopened else 0
        self._withheld_items.insert(backlog, (floor_s, [Gap(missing, self._cause)]))
        self._frames += missing
        self.missing_samples += missing
        self.expect_loss("overflow", is_reopened=False)
        self._window_end, self._window_floor_s = now + _WINDOW_S, float("inf")
        return self.flush_withheld_items()

    def _update_expected_lag(self, lag_s: float, now: float) -> None:
        self._window_floor_s = min(self._window_floor_s, lag_s)
        self._expected_lag_s = min(self._expected_lag_s, lag_s)
        if now >= self._window_end:
            self._expected_lag_s = min(self._window_floor_s, self._expected_lag_s + DRIFT * _WINDOW_S)
            self._window_end, self._window_floor_s = now + _WINDOW_S, float("inf")
