"""Evidence: everything that speaks for or against a change, gathered from running sums.

Each texture vector may begin a new section. While the sound goes on, a candidate `c` is described at a few ages by
some two hundred numbers, in four spaces (a learned projection, the whole texture, harmony, level) whose vectors are
compared by `k(x, y) = exp(-gamma |x - y|^2 / dims)`:

- novelty: how alike the vectors are before, after and across `c`, over seven spans (Foote 2000, the checkerboard
  taken apart into its blocks), and how far the means moved;
- optimal partitioning at several penalties: the cost of the best segmentation with its last change at `c` over the
  best at all (Killick, Fearnhead & Eckley 2012, eq. 5, with the kernel cost of Arlot, Celisse & Harchaoui 2019,
  eq. 5), what the change gains, how near the best path passes and since when;
- repetition: whether what came after, or before, runs parallel to an earlier stretch (Paulus, Müller & Klapuri
  2010, sec. 4), and whether the parallel begins or ends here;
- whether anything in the past explains what came after, beside what came just before;
- whether the onsets keep their period; steps and dips of level, kind of sound.

Nothing is looked up twice: every new vector costs one row of similarities, and its running sum updates all.
The past reaches `HORIZON` vectors; memory and time per vector are constant.
"""

from __future__ import annotations

import numpy as np

from streamseg.engine.evidence import describing, running
from streamseg.engine.evidence.running import CAPACITY, HORIZON, KEEP, PENALTIES, SPANS, SPLITS, Floats, Ints, State
from streamseg.engine.kernel import kernel
from streamseg.engine.models.texture import DEVIATION, MEAN
from streamseg.engine.periodicity import PERIODICITY_DIMS
from streamseg.engine.texture import LEVEL_DIMS, STANDARDISED_DIMS, TEXTURE_DIMS
from streamseg.weights import ChangeModel

_GAMMAS = np.array([0.5, 0.7, 4.0, 0.7])


@kernel
def _advance(
    state: State, offsets: Ints, gammas: Floats, ages: Ints, classes: int, pulses: Floats, out: Floats
) -> None:
    """Take the vector already written at `n`; describe the candidates of every age in `out`."""
    n = state.n[0]
    for d in range(state.vectors.shape[1]):
        state.totals[n + 1, d] = state.totals[n, d] + state.vectors[n, d]
    for d in range(state.extra.shape[1]):
        state.extra_totals[n + 1, d] = state.extra_totals[n, d] + state.extra[n, d]
    for d in range(state.pulse_totals.shape[1]):
        state.pulse_totals[n + 1, d] = state.pulse_totals[n, d] + pulses[0, d]
    for s in range(4):
        running.similarities(s, offsets[s], offsets[s + 1], gammas[s], state)
        running.accumulate(s, state)
    for b in range(len(PENALTIES)):
        running.partition(b, state)
    running.follow_parallels(state)
    running.match_past(state)
    e = n + 1
    state.n[0] = e
    for k in range(len(ages)):
        c = e - ages[k]
        out[k] = 0.0
        if c < 4:
            continue
        at = 0
        for s in range(4):
            at = describing.novelty(c, e, s, offsets[s], offsets[s + 1], state, out[k], at)
        at = describing.partition(c, e, state, out[k], at)
        at = describing.parallels(c, e, state, out[k], at)
        at = describing.rhythm(c, e, state, pulses[0], pulses[1], out[k], at)
        describing.rest(c, e, classes, state, out[k], at)


class Evidence:
    """Texture vectors in; for each, what speaks for a change at the candidates that have just reached an age."""

    def __init__(self, model: ChangeModel) -> None:
        self._projection, self._classes, self._ages = model.projection, model.classes, model.ages
        learned, classes = model.projection.shape[1], model.classes.shape[1]
        self._offsets = np.cumsum([0, learned, TEXTURE_DIMS, 12, LEVEL_DIMS])
        dims = int(self._offsets[-1])
        spaces, spans, penalties = 4, len(SPANS), len(PENALTIES)
        self.width = spaces * (3 * spans + 2) + 4 * penalties + 36 + 12 + 4 + 12 + 6 * classes + 5
        self._pulses = np.zeros((2, PERIODICITY_DIMS))
        self._out = np.zeros((len(self._ages), self.width))
        self._state = State(
            n=np.zeros(1, np.int64),
            age0=np.zeros(1, np.int64),
            vectors=np.zeros((CAPACITY, dims)),
            totals=np.zeros((CAPACITY + 1, dims)),
            extra=np.zeros((CAPACITY, LEVEL_DIMS + classes)),
            extra_totals=np.zeros((CAPACITY + 1, LEVEL_DIMS + classes)),
            pulse_totals=np.zeros((CAPACITY + 1, PERIODICITY_DIMS)),
            forward=np.zeros((spaces, CAPACITY)),
            sums=np.zeros((spaces, CAPACITY)),
            squares=np.zeros((spaces, spans)),
            before=np.zeros((spaces, CAPACITY + 1, spans)),
            across=np.zeros((spaces, CAPACITY + 1, spans)),
            after=np.zeros((spaces, CAPACITY, spans)),
            early=np.zeros((spaces, CAPACITY, len(SPLITS))),
            best=np.zeros((penalties, CAPACITY + 1)),
            previous=np.zeros((penalties, CAPACITY + 1), np.int64),
            since=np.full((penalties, CAPACITY + 1), -1, np.int64),
            parallel=np.zeros((2, running.PARALLEL_ROWS, HORIZON)),
            matched=np.zeros((running.MATCH_RING, 2, running.MATCHES + 1)),
            row=np.zeros((spaces, CAPACITY + 1)),
        )
        self._state.best[:, 0] = -PENALTIES

    def push(self, vector: Floats) -> Floats:
        """Take one texture vector, shape (VECTOR_DIMS,), as from `Texture`.

        Returns shape (ages, width): row k describes the candidate `ages[k]` vectors back; zeros where there is none.
        The array is overwritten by the next push.
        """
        state = self._state
        n = int(state.n[0])
        if n == CAPACITY:
            self._pack()
            n = int(state.n[0])
        texture, level = vector[:TEXTURE_DIMS], vector[TEXTURE_DIMS:STANDARDISED_DIMS]
        chroma = texture[20:32] * DEVIATION[20:32] + MEAN[20:32]
        parts = (
            texture @ self._projection,
            texture,
            chroma * (np.sqrt(12.0) / max(np.linalg.norm(chroma), 1e-9)),
            level,
        )
        state.vectors[n] = np.concatenate(parts)
        state.extra[n, :LEVEL_DIMS] = level
        state.extra[n, LEVEL_DIMS:] = vector[:STANDARDISED_DIMS] @ self._classes
        self._pulses[0] = vector[STANDARDISED_DIMS:]
        _advance(state, self._offsets, _GAMMAS, self._ages, self._classes.shape[1], self._pulses, self._out)
        return self._out

    def _pack(self) -> None:
        """Forget what lies beyond the horizon. Numbers counted in vectors are shifted along."""
        state = self._state
        gone = CAPACITY - KEEP
        for name in ("vectors", "totals", "extra", "extra_totals", "pulse_totals"):
            array = getattr(state, name)
            array[: len(array) - gone] = array[gone:].copy()
        for name in ("forward", "sums", "before", "across", "after", "early", "best", "previous", "since"):
            array = getattr(state, name)
            array[:, : array.shape[1] - gone] = array[:, gone:].copy()
        state.previous[...] = np.maximum(state.previous - gone, 0)
        state.since[state.since >= 0] -= gone
        state.best[...] -= state.best[:, :1].copy()
        state.n[0] = KEEP
        state.age0[0] += gone
