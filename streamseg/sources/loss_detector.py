"""Finds the samples that a sound system lost without saying so, and tells loss from lateness and from drift.

A card that runs delivers `sample_rate` frames a second by its own clock. *Lag* is how far the frames counted
so far stay behind the time that passed, so:

- late chunks raise the lag, and the backlog that follows takes it down again: nothing is missing;
- lost frames raise it for good;
- the card's crystal, a little fast or slow, moves it by a few parts in ten thousand, for ever.

A chunk that lags by more than `SUSPICION_S` is therefore held back, with all that follow, until the lag is
down again (nothing was lost), or has stopped coming down for `SETTLE_S`: then what remains was lost, and the
gap is placed where the backlog ended, because a full queue refuses the newest. Below the suspicion the
expected lag follows the measured one, upwards by `DRIFT` at most, so that crumbs lost again and again add up
to a gap while drift never does.

The time stamp that PortAudio gives a buffer (`inputBufferAdcTime`) would show a loss sooner, but through
PulseAudio it is wrong by up to 0.7 s in the first seconds of a capture (measured); the arrival is not.
"""

from __future__ import annotations

from collections.abc import Callable

from streamseg.blocks import Block, Gap, GapCause, SourceItem
from streamseg.sources.ring_buffer import RingChunk

SUSPICION_S = 0.05  # two callbacks of 25 ms late; below, it is only the scheduler
SETTLE_S = 0.5  # a backlog arrives much faster than sound, so half a second without any is the end of it
DRIFT = 0.002  # ten times a bad crystal
_WINDOW_S = 1.0  # the lag's floor is sought in windows of this length
_AT_FLOOR_S = 0.01


class LossDetector:
    """Turns chunks into blocks, and lost time into gaps."""

    def __init__(self, sample_rate: int, unix_time: Callable[[float], float]) -> None:
        """sample_rate: nominal, Hz. unix_time: what makes a chunk's `arrived` wall-clock seconds."""
        self.missing_samples = 0  # found missing so far
        self._cause: GapCause = "overflow"
        self._was_reopened = False
        self._rate = sample_rate
        self._unix_time = unix_time
        self._start: float | None = None
        self._frames = 0
        self._expected_lag_s = 0.0
        self._window_end = 0.0
        self._window_floor_s = float("inf")
        self._withheld_items: list[tuple[float, list[SourceItem]]] = []  # lag, and what waits
        self._falling_from_s = 0.0
        self._falling_at = 0.0

    def expect_loss(self, cause: GapCause, *, reopened: bool) -> None:
        """Put the next loss down to `cause`; of a card that was `reopened`, no backlog can come first."""
        self._cause, self._was_reopened = cause, reopened

    def push(self, chunk: RingChunk) -> list[SourceItem]:
        """Take one chunk; give what is now certain: nothing (it is held back), or all that was held."""
        if self._start is None:
            self._start = chunk.arrived - len(chunk.samples) / self._rate
            self._window_end = chunk.arrived + _WINDOW_S
        items: list[SourceItem] = []
        if chunk.missing_before:
            items.append(Gap(chunk.missing_before, "overflow"))
            self.missing_samples += chunk.missing_before
        items.append(Block(chunk.samples, self._rate, self._unix_time(chunk.arrived)))
        self._frames += chunk.missing_before + len(chunk.samples)
        lag_s = chunk.arrived - self._start - self._frames / self._rate
        if lag_s - self._expected_lag_s > SUSPICION_S:
            return self._hold_items(items, lag_s, chunk.arrived)
        self._update_expected_lag(lag_s, chunk.arrived)
        self.expect_loss("overflow", reopened=False)  # whatever was feared has not come
        return self.release_items() + items

    def release_items(self) -> list[SourceItem]:
        """Give what is held."""
        held, self._withheld_items = self._withheld_items, []
        return [item for _, items in held for item in items]

    def _hold_items(self, items: list[SourceItem], lag_s: float, now: float) -> list[SourceItem]:
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
        self.expect_loss("overflow", reopened=False)
        self._window_end, self._window_floor_s = now + _WINDOW_S, float("inf")
        return self.release_items()

    def _update_expected_lag(self, lag_s: float, now: float) -> None:
        self._window_floor_s = min(self._window_floor_s, lag_s)
        self._expected_lag_s = min(self._expected_lag_s, lag_s)
        if now >= self._window_end:
            self._expected_lag_s = min(self._window_floor_s, self._expected_lag_s + DRIFT * _WINDOW_S)
            self._window_end, self._window_floor_s = now + _WINDOW_S, float("inf")
