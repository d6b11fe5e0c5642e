"""Evidence: everything that speaks for or against a change, gathered from running sums.

Each texture vector may begin a new section. While the sound goes on, a candidate `c` is described at a few ages in
four spaces (a learned projection, the whole texture, harmony, level) whose vectors are compared by a rational
quadratic kernel. At first glance, which every candidate gets:

- novelty: how alike the vectors are before, after and across `c`, over seven spans (Foote 2000, the checkerboard
  taken apart into its blocks), and how far the means moved;
- optimal partitioning at several penalties: the cost of the best segmentation with its last change at `c` over the
  best at all (Killick, Fearnhead & Eckley 2012, eq. 5, with the kernel cost of Arlot, Celisse & Harchaoui 2019,
  eq. 5), what the change gains, how near the best path passes and since when;
- steps and dips of level, kind of sound.

A few trees judge by that, and dismiss most candidates (a cascade: Viola & Jones 2001). Those left get a closer look:

- repetition: whether what came after, or before, runs parallel to an earlier stretch (Paulus, Müller & Klapuri
  2010, sec. 4), whether the parallel begins or ends here, and whether the sound changed at that place of the parallel;
- whether anything in the past explains what came after, beside what came just before;
- whether the onsets keep their period; how long ago the sound last seemed to change.

Nothing is looked up twice: every new vector costs one row of similarities, and its running sum updates all.
The past reaches `HORIZON` vectors; memory and time per vector are constant.
"""

from __future__ import annotations

import numpy as np

from streamseg.engine.boundaries import candidate_features, running_sums
from streamseg.engine.boundaries.running_sums import (
    CAPACITY,
    HORIZON,
    PENALTIES,
    RETAINED_VECTORS,
    SPANS,
    SPLIT_OFFSETS,
    Floats,
    Ints,
    RunningSums,
)
from streamseg.engine.boundaries.trees import BoostedTrees, sum_leaves
from streamseg.engine.features.periodicity import PERIODICITY_DIMS
from streamseg.engine.features.texture import LEVEL_DIMS, STANDARDISED_DIMS, TEXTURE_DIMS, TEXTURE_MEAN, TEXTURE_STD
from streamseg.engine.kernels import kernel
from streamseg.engine.models.weights import BoundaryModel

_GAMMAS = np.array([0.5, 0.7, 4.0, 0.7])
_CHROMA = 20  # where harmony begins in a texture vector
_REJECTION_PENALTY = 30.0
_MIN_CANDIDATE = 4  # the first vectors of a stream are no place for a change
_GLANCE_MEMORY_AGE = 12  # from this age on, a glance is remembered


@kernel
def _push_vector(
    vector: Floats,
    projection: Floats,
    classes: Floats,
    mean: Floats,
    std: Floats,
    state: RunningSums,
    offsets: Ints,
    gammas: Floats,
    ages: Ints,
    trees: BoostedTrees,
    glance_trees: int,
    gate: float,
    pulses: Floats,
    features: Floats,
    scores: Floats,
) -> None:
    """Take the newest vector in; describe the candidates of every age in `told`; their log odds go to `scores`.

    One kernel, since to hand all this over costs as much as to describe several candidates. What the first trees put
    below the gate is looked at no further, and scores what they say less `_DISMISSED`.
    """
    # The vector, in each space.
    n = state.n[0]
    at = 0
    for k in range(projection.shape[1]):
        total = 0.0
        for d in range(TEXTURE_DIMS):
            total += vector[d] * projection[d, k]
        state.vectors[at, n] = total
        at += 1
    for d in range(TEXTURE_DIMS):
        state.vectors[at, n] = vector[d]
        at += 1
    norm = 1e-18
    for d in range(12):
        value = vector[_CHROMA + d] * std[_CHROMA + d] + mean[_CHROMA + d]
        norm += value * value
    scale = np.sqrt(12.0 / norm)
    for d in range(12):
        state.vectors[at, n] = (vector[_CHROMA + d] * std[_CHROMA + d] + mean[_CHROMA + d]) * scale
        at += 1
    for d in range(LEVEL_DIMS):
        state.vectors[at, n] = vector[TEXTURE_DIMS + d]
        state.extra[n, d] = vector[TEXTURE_DIMS + d]
        at += 1
    for k in range(classes.shape[1]):
        total = 0.0
        for d in range(STANDARDISED_DIMS):
            total += vector[d] * classes[d, k]
        state.extra[n, LEVEL_DIMS + k] = total

    # All running sums.
    for d in range(state.vectors.shape[0]):
        state.totals[n + 1, d] = state.totals[n, d] + state.vectors[d, n]
    for d in range(state.extra.shape[1]):
        state.extra_totals[n + 1, d] = state.extra_totals[n, d] + state.extra[n, d]
    for d in range(state.pulse_totals.shape[1]):
        state.pulse_totals[n + 1, d] = state.pulse_totals[n, d] + vector[STANDARDISED_DIMS + d]
    for s in range(4):
        running_sums.update_similarities(s, offsets[s], offsets[s + 1], gammas[s], state)
        running_sums.update_block_sums(s, state)
    for b in range(len(PENALTIES)):
        running_sums.update_partition(b, state)
    running_sums.update_diagonals(state)
    running_sums.update_past_matches(state)
    state.glance_probability[n + 1] = 0.0
    state.n[0] = n + 1

    # The candidates.
    e, first_tree = n + 1, np.int64(0)
    for k in range(len(ages)):
        c = e - ages[k]
        out = features[k]
        scores[k] = -np.inf
        if c < _MIN_CANDIDATE:
            continue
        for s in range(4):
            candidate_features.write_novelty(
                c, e, s, offsets[s], offsets[s + 1], state, out, s * candidate_features.N_NOVELTY
            )
        at = candidate_features.write_partition(c, e, state, out, 4 * candidate_features.N_NOVELTY + first_tree)
        at = candidate_features.write_level_steps_and_classes(c, e, classes.shape[1], state, out, at)
        glance = sum_leaves(out, trees, first_tree, glance_trees)
        if ages[k] >= _GLANCE_MEMORY_AGE:
            state.glance_probability[c] = 1.0 / (1.0 + np.exp(-glance))
        if glance < gate:
            scores[k] = glance - _REJECTION_PENALTY
            continue
        at = candidate_features.write_repetition(c, e, state, out, at)
        at = candidate_features.write_past_matches(c, e, state, out, at)
        at = candidate_features.write_rhythm(c, e, state, pulses[0], pulses[1], out, at)
        candidate_features.write_section_lengths(c, state, out, at)
        scores[k] = sum_leaves(out, trees, glance_trees, len(trees.first))


class CandidateFeatures:
    """Texture vectors in; for each, what speaks for a change at the candidates that have just reached an age."""

    def __init__(self, model: BoundaryModel) -> None:
        self._model = model
        self._trees = BoostedTrees(model.first, model.feature, model.threshold, model.left, model.right, model.value)
        self._glance_gate, self._glance_trees = float(model.gate), int(model.glance_trees)
        learned, classes = model.projection.shape[1], model.classes.shape[1]
        self._offsets = np.cumsum([0, learned, TEXTURE_DIMS, 12, LEVEL_DIMS])
        dims = int(self._offsets[-1])
        spaces, spans, penalties = 4, len(SPANS), len(PENALTIES)
        self.n_glance_features = candidate_features.N_GLANCE_FIXED + classes * candidate_features.N_GLANCE_PER_CLASS
        self.n_features = self.n_glance_features + candidate_features.N_CLOSE_LOOK
        self._pulses = np.zeros((2, PERIODICITY_DIMS))
        self.features = np.zeros((len(model.ages), self.n_features))
        self._scores = np.zeros(len(model.ages))
        self._sums = RunningSums(
            n=np.zeros(1, np.int64),
            n_dropped=np.zeros(1, np.int64),
            vectors=np.zeros((dims, CAPACITY), np.float32),
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
            sums_at_split=np.zeros((spaces, CAPACITY, len(SPLIT_OFFSETS))),
            best=np.zeros((penalties, CAPACITY + 1)),
            previous_change=np.zeros((penalties, CAPACITY + 1), np.int64),
            on_path_since=np.full((penalties, CAPACITY + 1), -1, np.int64),
            diagonal_sums=np.zeros((2, running_sums.PARALLEL_ROWS, HORIZON)),
            past_match=np.zeros((running_sums.MATCH_RING, 2, CAPACITY // running_sums.MATCH_STRIDE)),
            glance_probability=np.zeros(CAPACITY + 2),
            newest_similarity_sums=np.zeros((spaces, CAPACITY + 1)),
            distance=np.zeros(CAPACITY, np.float32),
            scratch=np.zeros((4, HORIZON)),
        )
        self._sums.best[:, 0] = -PENALTIES

    def push(self, vector: Floats) -> Floats:
        """Take one texture vector, shape (VECTOR_DIMS,), as from `TextureExtractor`.

        Returns the log odds of a change, shape (ages,): entry k is for the candidate `ages[k]` vectors back, -inf
        where there is none. They are overwritten by the next push, and so is `told`, shape (ages, width), on which
        they rest: a row of those that are not dismissed.
        """
        state, model = self._sums, self._model
        if state.n[0] == CAPACITY:
            self._drop_old_vectors()
        _push_vector(
            vector,
            model.projection,
            model.classes,
            TEXTURE_MEAN,
            TEXTURE_STD,
            state,
            self._offsets,
            _GAMMAS,
            model.ages,
            self._trees,
            self._glance_trees,
            self._glance_gate,
            self._pulses,
            self.features,
            self._scores,
        )
        return self._scores

    def _drop_old_vectors(self) -> None:
        """Forget what lies beyond the horizon. Numbers counted in vectors are shifted along."""
        state = self._sums
        gone = CAPACITY - RETAINED_VECTORS
        for name in ("totals", "extra", "extra_totals", "pulse_totals", "glance_probability"):
            array = getattr(state, name)
            array[: len(array) - gone] = array[gone:].copy()
        for name in (
            "vectors", "forward", "sums", "before", "across", "after", "sums_at_split", "best", "previous_change",
            "on_path_since",
        ):  # fmt: skip
            array = getattr(state, name)
            array[:, : array.shape[1] - gone] = array[:, gone:].copy()
        windows = gone // running_sums.MATCH_STRIDE
        state.past_match[:, :, :-windows] = state.past_match[:, :, windows:].copy()
        state.previous_change[...] = np.maximum(state.previous_change - gone, 0)
        state.on_path_since[state.on_path_since >= 0] -= gone
        state.best[...] -= state.best[:, :1].copy()
        state.n[0] = RETAINED_VECTORS
        state.n_dropped[0] += gone
