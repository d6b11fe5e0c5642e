"""Cue sounds: short sounds somebody taught, found again note for note, even beneath talk.

A print of a sound says, for every frame and mel band, whether the step to the next band grew or shrank, and how much:
the derivative over band and time of Haitsma & Kalker (2002), over two spans of time, and in sixteen degrees instead of
one bit, because what lies beneath a louder voice is told by its strongest moments. Levels and equalisation cancel out.
The print slides along the stream; the correlation is weighed against what it usually is with this stream, so a cue
that resembles everything must resemble more. A cue is known after its first seconds where nothing covers it, else at
its end. The best place is its start, to about a hundredth of a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS, Features
from streamseg.engine.kernel import allocating as kernel
from streamseg.errors import AskedWrongly
from streamseg.memory import pack, unpack
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Print = NDArray[np.int16]

SHORTEST_S: Final = 1.5
LONGEST_S: Final = 8.0  # of what is compared; a longer sound is known by its beginning
LAGS: Final = (3, 8)  # frames
_EVERY: Final = 2  # frames: rows compared, and places tried
_BANDS: Final = 63
_WIDTH: Final = len(LAGS) * _BANDS + 2  # padded to a multiple of eight
_DEGREES: Final = 7
_FULL_DB: Final = 6.0  # a step that changes by so much counts in full
_HEARD_DB: Final = 50.0  # below the loudest of a cue nothing is told
_EARLY_S: Final = 2.2
_ECHO_ROWS: Final = 45  # how far a cue that resembles itself is waited for
_NEEDED: Final = 7.0  # standard deviations, heard to its end
_NEEDED_EARLY: Final = 9.0
_NEEDED_REPEATING: Final = (
    18.0  # of a cue whose beginning comes again: only uncovered the first one is sure to be heard
)
_REPEATED: Final = 0.35  # correlation
_NOTABLE: Final = 0.05  # correlation from which on it is asked whether the beginning was there too
_BEGINNING: Final = 0.45  # how alike the first half must be, for the whole being alike by 1
_WAIT: Final = 4  # places in which a better one may come, and as many more as a cue resembles itself after
_SETTLING_S: Final = 30.0  # over which the usual correlation is known
_USUAL: Final = 1.5  # deviation of the correlation, times the root of the cells: where a stream begins
_LEAST: Final = 0.7  # and how much of that it never falls below

_MEL = COLUMNS["log_mel"]


@kernel
def _print(mel_db: Floats, before: Floats, out: Print) -> None:
    """The print of one frame: mel_db its bands, before[k] the bands LAGS[k] frames ago."""
    for k in range(len(LAGS)):
        for b in range(_BANDS):
            change = (mel_db[b] - mel_db[b + 1]) - (before[k, b] - before[k, b + 1])
            degree = np.floor(min(max(change / _FULL_DB, -1.0), 1.0) * _DEGREES + 0.5)
            out[k * _BANDS + b] = np.int16(degree)


@kernel
def _alike(past: Print, energy: Floats, newest: int, cue: Print, own: float) -> float:
    """Correlation of a cue, whose degrees squared sum to `own`, with the rows of a ring that end at frame `newest`."""
    rows, size = cue.shape[0], past.shape[0]
    total, there = 0.0, 0.0
    for r in range(rows):
        at = (newest - (rows - 1 - r) * _EVERY) % size
        dot = np.int32(0)
        for i in range(_WIDTH):
            dot = np.int32(dot + np.int32(cue[r, i]) * np.int32(past[at, i]))
        total += float(dot)
        there += energy[at]
    # Near silence correlates with anything; it counts as if it were fuller than it is.
    return float(total / np.sqrt(own * max(there, 0.25 * own)))


# What is known of each sliding print, by place.
_OWN, _FIRST_OWN, _SPREAD, _MEAN, _SQUARE, _BEST, _AT, _WAITED, _STATE = range(9)


@kernel
def _follow(state: Floats, correlation: float, begins: bool, start: int, needed: float, wait: int) -> bool:
    """Weigh the correlation at one place, where the beginning of the print may be missing; whether the best is past."""
    fading = _EVERY / (_SETTLING_S * FRAMES_PER_SECOND)
    deviation = np.sqrt(max(state[_SQUARE], (_LEAST * state[_SPREAD]) ** 2))
    score = (correlation - state[_MEAN]) / deviation
    usual = max(-3.0, min(3.0, score)) * deviation  # a cue itself is not usual
    state[_MEAN] += fading * usual
    state[_SQUARE] += fading * (usual * usual - state[_SQUARE])
    if begins and score >= needed and (state[_WAITED] < 0.0 or score > state[_BEST]):
        state[_BEST], state[_AT], state[_WAITED] = score, start, 0.0
    elif state[_WAITED] >= 0.0:
        state[_WAITED] += 1.0
    if state[_WAITED] < wait:
        return False
    state[_WAITED] = -1.0
    return True


@kernel
def _listen(
    mel_db: Floats,
    number: int,
    before: Floats,
    past: Print,
    energy: Floats,
    prints: Print,
    first: Ints,
    needed: Floats,
    wait: Ints,
    states: Floats,
    found: Ints,
) -> int:
    """Take frames, of which the first has this number, until prints were found; how many were taken.

    Print p is rows first[p] to first[p + 1] of `prints`. found[p]: whether it was found at the last frame taken.
    """
    found[:] = 0
    for i in range(mel_db.shape[0]):
        frame = number + i
        at = frame % past.shape[0]
        if frame == 0:
            before[:] = mel_db[0]  # before the first frame it was as in it
        lagged = np.empty((len(LAGS), _BANDS + 1))
        for k in range(len(LAGS)):
            lagged[k] = before[(frame - LAGS[k]) % before.shape[0]]
        _print(mel_db[i], lagged, past[at])
        before[frame % before.shape[0]] = mel_db[i]
        energy[at] = 0.0
        for x in past[at]:
            energy[at] += float(x) * float(x)
        if frame % _EVERY:
            continue
        anything = False
        for p in range(needed.size):
            start = frame - (first[p + 1] - first[p] - 1) * _EVERY
            if start >= 0:
                rows = prints[first[p] : first[p + 1]]
                correlation = _alike(past, energy, frame, rows, states[p, _OWN])
                half = rows.shape[0] // 2
                begins = correlation < _NOTABLE or (
                    _alike(past, energy, start + (half - 1) * _EVERY, rows[:half], states[p, _FIRST_OWN])
                    > _BEGINNING * correlation
                )
                if _follow(states[p], correlation, begins, start, needed[p], wait[p]):
                    found[p] = 1
                    anything = True
        if anything:
            return i + 1
    return int(mel_db.shape[0])


@dataclass(frozen=True, eq=False)
class Cue:
    """A taught sound. rows: its print, int16, shape (every second frame, _WIDTH)."""

    name: str
    rows: Print

    def packed(self) -> bytes:
        """It as bytes, for the memory; `cue_from` reads them."""
        return pack(rows=self.rows[:, : 2 * _BANDS].astype(np.int8))

    @property
    def seconds(self) -> float:
        """How much of it is compared."""
        return len(self.rows) * _EVERY / FRAMES_PER_SECOND


def learn(name: str, sound: NDArray[np.float32]) -> Cue:
    """The cue a sound makes. sound: mono at 22,050 Hz; where it starts is where it will be found to start.

    Raises AskedWrongly for one that is too short or too quiet to be known again.
    """
    frames = Features().push(sound)[: round(LONGEST_S * FRAMES_PER_SECOND), _MEL]
    if len(frames) < SHORTEST_S * FRAMES_PER_SECOND:
        raise AskedWrongly(
            f"a sound of {len(sound) / ENGINE_RATE:.1f} s cannot be known again; give at least {SHORTEST_S} s"
        )
    rows = np.zeros((len(frames), _WIDTH), np.int16)
    for i in range(len(frames)):
        _print(frames[i], frames[[max(0, i - lag) for lag in LAGS]], rows[i])
    heard = frames[:, :_BANDS] > frames.max() - _HEARD_DB
    for k, lag in enumerate(LAGS):
        rows[:, k * _BANDS : (k + 1) * _BANDS] *= heard
        rows[:lag, k * _BANDS : (k + 1) * _BANDS] = 0  # what was before it differs each time
    if np.count_nonzero(rows) < 0.02 * rows.size or frames.max() < -60.0:
        raise AskedWrongly("nothing in this sound changes; it cannot be told from others by its course")
    return Cue(name, np.ascontiguousarray(rows[::_EVERY]))


def _squares(rows: Print) -> Floats:
    squares: Floats = np.sum(rows.astype(np.float64) ** 2, axis=1)
    return squares


def _echo(rows: Print, beginning: int, farthest: int) -> int:
    """The largest shift, up to `farthest` rows, at which the first rows of a cue resemble later ones; 0 for none."""
    first, energy = rows[:beginning].astype(np.float64), _squares(rows)
    for shift in range(min(farthest, len(rows) - beginning // 2), _WAIT, -1):
        later = rows[shift : shift + beginning].astype(np.float64)
        alike = np.sum(first[: len(later)] * later)
        if alike > _REPEATED * np.sqrt(energy[: len(later)].sum() * energy[shift : shift + beginning].sum() + 1.0):
            return shift
    return 0


class Found(NamedTuple):
    """A cue was heard. start: the frame it started with. score: how far beyond chance, standard deviations."""

    name: str
    start: int
    score: float


class Cues:
    """Feature frames in; taught sounds that were heard out. Pickles between pushes."""

    def __init__(self, cues: tuple[Cue, ...]) -> None:
        early = round(_EARLY_S * FRAMES_PER_SECOND / _EVERY)
        self._cues = cues
        self._prints: list[tuple[int, Print, float]] = []  # of which cue, rows, score needed
        for number, cue in enumerate(cues):
            if len(cue.rows) > 1.5 * early:
                repeats = _echo(cue.rows, early, len(cue.rows)) > 0
                self._prints.append((number, cue.rows[:early], _NEEDED_REPEATING if repeats else _NEEDED_EARLY))
            self._prints.append((number, cue.rows, _NEEDED))
        self._rows = np.concatenate([rows for _, rows, _ in self._prints] or [np.zeros((0, _WIDTH), np.int16)])
        self._first = np.cumsum([0, *(len(rows) for _, rows, _ in self._prints)])
        self._needed = np.array([needed for _, _, needed in self._prints])
        self._wait = np.array(
            [
                _WAIT + (_echo(rows, len(rows), _ECHO_ROWS) if needed == _NEEDED else 0)
                for _, rows, needed in self._prints
            ]
        )
        self._found = np.zeros(len(self._prints), np.int64)
        self._states = np.zeros((len(self._prints), _STATE))
        self._states[:, _OWN] = [_squares(rows).sum() for _, rows, _ in self._prints]
        self._states[:, _FIRST_OWN] = [_squares(rows)[: len(rows) // 2].sum() for _, rows, _ in self._prints]
        self._states[:, _SPREAD] = [_USUAL / math.sqrt(np.count_nonzero(rows)) for _, rows, _ in self._prints]
        self._states[:, _SQUARE] = self._states[:, _SPREAD] ** 2
        self._past = np.zeros((_EVERY * max((len(cue.rows) for cue in cues), default=1), _WIDTH), np.int16)
        self._energy = np.zeros(len(self._past))
        self._before = np.zeros((LAGS[-1] + 1, _BANDS + 1))
        self.begin_stretch()

    @property
    def known_after_s(self) -> float:
        """Seconds after its start within which every cue is known at the soonest; 0 where there is none."""
        soonest: dict[int, int] = {}
        for (number, rows, _), wait in zip(self._prints, self._wait, strict=True):
            soonest[number] = min(soonest.get(number, 10**6), len(rows) + int(wait))
        if not soonest:
            return 0.0
        return _EVERY * max(soonest.values()) / FRAMES_PER_SECOND + FRAME / ENGINE_RATE

    def begin_stretch(self) -> None:
        """Hear afresh; frames are counted from 0 again."""
        self._frame = 0
        self._last = [-(10**9)] * len(self._cues)  # where each was found last
        self._states[:, _WAITED] = -1.0

    def push(self, frames: Floats) -> list[Found]:
        """Take feature frames, shape (n, columns)."""
        heard: list[Found] = []
        at = 0 if self._prints else len(frames)
        while at < len(frames):
            taken = _listen(
                frames[at:, _MEL], self._frame, self._before, self._past, self._energy,
                self._rows, self._first, self._needed, self._wait, self._states, self._found,
            )  # fmt: skip
            at += taken
            self._frame += taken
            for p in np.flatnonzero(self._found):
                number, start, score = self._prints[p][0], int(self._states[p, _AT]), float(self._states[p, _BEST])
                if start - self._last[number] >= 0.9 * _EVERY * len(self._cues[number].rows):  # it is not over before
                    self._last[number] = start
                    heard.append(Found(self._cues[number].name, start, score))
        return heard


def cue_from(name: str, content: bytes) -> Cue:
    """A cue as it was packed. Raises AskedWrongly when it is something else, or of another version."""
    try:
        rows = unpack(content)["rows"]
    except (ValueError, KeyError):
        rows = np.zeros((0, 0))
    if rows.ndim != 2 or rows.shape[1] != 2 * _BANDS or len(rows) == 0:
        raise AskedWrongly(f"the cue {name!r} was taught to another version; teach it again")
    padded = np.zeros((len(rows), _WIDTH), np.int16)
    padded[:, : 2 * _BANDS] = rows
    return Cue(name, padded)
