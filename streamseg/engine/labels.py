"""Labels: what a section is called, the same whenever it comes back.

A clusterer says how much a section is like what was heard before; a sticky filter weighs that with what usually
follows what; here a number becomes a letter that keeps its meaning, and remembers when it was last heard and by which
name. Which clusterer: `sections` compares whole sections with those remembered; river's hear the texture itself,
vector by vector, and a section is what most of its vectors are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.clustering import NEW, SectionClusterer
from streamseg.engine.identities import NOISE, Identities
from streamseg.engine.portrait import BLOCK_STEPS, Portrait, unpacked
from streamseg.engine.resemblance import Resemblance
from streamseg.engine.sticky import StickyFilter
from streamseg.engine.texture import STANDARDISED_DIMS
from streamseg.memory import Memory
from streamseg.settings import Settings
from streamseg.weights import LabelModel

Floats = NDArray[np.float64]

RELABEL_S = 60.0  # how far back a second look reaches
_REMEMBERED_MOST = 256  # named sections of earlier runs, the latest
_REACH = 1.0  # deviations within a kind; for clusterers that hear vectors
_SURE = 2.0  # log-odds that join two labels
_MOST = 8.0  # log-odds of what most vectors of a section are
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Guess:
    """What a section seems to be.

    probabilities: of the likeliest labels; an unheard one stands under the letter it would get. last_seen: stream
    seconds at which it ended the last time, None when new or heard in another run only.
    """

    label: str | None
    name: str | None
    probabilities: dict[str, float]
    seen_before: bool
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A second look at a closed section."""

    section: str
    label: str
    previous: str


@dataclass(frozen=True, slots=True)
class _Closed:
    """A section that may still be looked at again."""

    section: str
    number: int


class Labels:
    """Portraits of sections in, labels out."""

    def __init__(self, settings: Settings, model: LabelModel, memory: Memory) -> None:
        """memory: named sections of earlier runs. Content that cannot be read is passed over."""
        named = memory.of("section")[-_REMEMBERED_MOST:]
        self._model = model
        self._identities = None if settings.clusterer == "sections" else Identities(settings.clusterer, _REACH)
        self._block, self._blocked = np.zeros(STANDARDISED_DIMS), 0
        self._identity: int | None = None
        self._resemblance = Resemblance(model, settings.labels_max + len(named))
        self._clusterer = SectionClusterer(capacity=settings.labels_max, likeness=self._resemblance)
        self._filter = StickyFilter(
            stay=float(model.stay),
            returning=settings.label_returning,
            shared=bool(model.shared),
            capacity=4 * settings.labels_max,
        )
        self._letters: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._slots: dict[int, int] = {}  # of each label, where its latest section lies
        self._last_seen: dict[int, float] = {}
        self._founded_at: dict[int, float] = {}  # the end of its first section
        self._before: int | None = None
        self._lettered = 0
        self._closed: deque[_Closed] = deque(maxlen=8)
        known: dict[str, int] = {}
        for entry in named:
            try:
                portrait = unpacked(entry.content)
            except ValueError:
                continue
            number = known.setdefault(entry.name, NEW - 1 - len(known))  # below NEW, so that letters stay A, B, C
            self._clusterer.put(portrait, number, pinned=True)
            self._names[number] = entry.name

    def push(self, vector: Floats) -> int | None:
        """Hear a texture vector; what a clusterer of vectors takes it for, where one is asked."""
        if self._identities is None:
            return None
        self._block += vector[:STANDARDISED_DIMS]
        self._blocked += 1
        if self._blocked == BLOCK_STEPS:
            self._identity = self._identities.push(self._block / BLOCK_STEPS @ self._model.projection)
            self._block[:], self._blocked = 0.0, 0
        return self._identity

    def guess(self, portrait: Portrait) -> Guess:
        """What the section is so far, without learning from it."""
        posterior = self._posterior(portrait)
        return self._said(self._decided(portrait, posterior), posterior)

    def learn(self, portrait: Portrait, section: str, end: float) -> tuple[Guess, list[Relabelled]]:
        """Remember a whole section: what it is called from now on, and what that changes of those just before."""
        posterior = self._posterior(portrait)
        number = self._decided(portrait, posterior)
        guess = self._said(number, posterior)
        if number is None:
            return guess, []
        if number == NEW:
            majority = self._majority(portrait)
            number = self._clusterer.found() if majority is None else majority
        if number not in self._letters:
            self._letters[number] = letters(self._lettered)
            self._founded_at[number] = end
            self._lettered += 1
        if self._identities is None:
            self._slots[number] = self._clusterer.put(portrait, number)
        self._filter.settle(posterior, number, self._before)
        self._before = number
        self._last_seen.pop(number, None)
        self._last_seen[number] = end
        self._closed.append(_Closed(section, number))
        relabelled = self._look_again(end)
        self._forget()
        return guess, relabelled

    def prototype(self, label: str) -> Portrait | None:
        """What the latest section of a label sounded like, as far as it is remembered."""
        number = next((number for number, letter in self._letters.items() if letter == label), None)
        return self._resemblance.portrait(self._slots[number]) if number in self._slots else None

    def name_of(self, label: str) -> str | None:
        """The name a label has from an earlier run."""
        return next((self._names.get(number) for number, letter in self._letters.items() if letter == label), None)

    def _posterior(self, portrait: Portrait) -> dict[int, float]:
        if self._identities is None:
            return self._filter.posterior(self._clusterer.odds(portrait))
        votes = {identity: n for identity, n in portrait.votes.items() if identity != NOISE}
        most = max(votes.values(), default=0)
        odds = {
            number: float(np.log((votes.get(number, 0) + 0.1) / (most + 0.1))) + _MOST
            for number in self._last_seen
            if number in votes
        }
        if self._majority(portrait) not in self._last_seen:
            odds = {number: value - 2 * _MOST for number, value in odds.items()}
        return self._filter.posterior(odds)

    def _majority(self, portrait: Portrait) -> int | None:
        """What most of its vectors are; None when that is nothing known."""
        best = max(portrait.votes, key=portrait.votes.__getitem__, default=NOISE)
        return None if best == NOISE else best

    def _decided(self, portrait: Portrait, posterior: dict[int, float]) -> int | None:
        """The likeliest label, or NEW; None where a clusterer of vectors knows nothing of them."""
        if self._identities is not None and self._majority(portrait) is None:
            return None
        return max(posterior, key=posterior.__getitem__)

    def _said(self, number: int | None, posterior: dict[int, float]) -> Guess:
        shown = sorted(posterior, key=posterior.__getitem__, reverse=True)[:_SHOWN]
        fresh = letters(self._lettered)
        probabilities: dict[str, float] = {}
        for other in shown:  # several names not heard in this run yet would all get the next letter
            letter = self._letters.get(other, fresh)
            probabilities[letter] = round(probabilities.get(letter, 0.0) + posterior[other], 3)
        if number is None:
            return Guess(None, None, probabilities, seen_before=False, last_seen=None)
        return Guess(
            self._letters.get(number, fresh),
            self._names.get(number),
            probabilities,
            seen_before=number in self._last_seen or number in self._names,
            last_seen=self._last_seen.get(number),
        )

    def _look_again(self, now: float) -> list[Relabelled]:
        """Join a label that was founded a moment ago to the one it turns out to be.

        Fixed-lag smoothing (Moore 1973) of one section's lag: what followed counts as well as what came before.
        """
        if self._identities is not None or len(self._closed) < 2:
            return []
        young, after = self._closed[-2].number, self._closed[-1].number
        if self._founded_at.get(young, -np.inf) <= now - RELABEL_S or young in self._names or young == after:
            return []
        odds = {
            number: value + float(np.log(self._filter.follows(number, after) / self._filter.follows(young, after)))
            for number, value in self._clusterer.odds_of(young).items()
            if number in self._last_seen
        }
        old = max(odds, key=odds.__getitem__, default=NEW)
        if old == NEW or odds[old] < _SURE:
            return []
        said = [
            Relabelled(closed.section, self._letters[old], self._letters[young])
            for closed in self._closed
            if closed.number == young
        ]
        self._clusterer.join(young, old)
        self._filter.join(young, old)
        self._slots[old] = self._slots.pop(young)
        self._last_seen[old] = max(self._last_seen[old], self._last_seen.pop(young))
        self._closed = deque(
            (_Closed(one.section, old if one.number == young else one.number) for one in self._closed),
            maxlen=self._closed.maxlen,
        )
        return said

    def _forget(self) -> None:
        """What the clusterer has forgotten is forgotten here too."""
        known = self._clusterer.labels if self._identities is None else set(list(self._last_seen)[-64:])
        for book in (self._letters, self._slots, self._last_seen, self._founded_at):
            for number in [number for number in book if number not in known]:
                del book[number]
        self._filter.forget(known)


def letters(number: int) -> str:
    """A, B … Z, AA, AB …: the columns of a spreadsheet."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
