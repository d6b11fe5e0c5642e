"""Computes the features and the score of boundary candidates: each texture vector may begin a new section.

While the sound goes on, a candidate is described at a few ages in four spaces (a learned projection, the whole
texture, harmony, level) whose vectors are compared by a rational quadratic kernel. At first glance, which every
candidate gets:

- novelty: the similarity of the vectors before, after and across the candidate, over seven spans (Foote 2000, the
  checkerboard taken apart into its blocks), and the distance of their means;
- optimal partitioning at several penalties: the cost of the best segmentation with its last change at the candidate
  less that of the best at all (Killick, Fearnhead & Eckley 2012, eq. 5, with the kernel cost of Arlot, Celisse &
  Harchaoui 2019, eq. 5), what the change gains, how near the best path has a change and since when;
- steps and dips of level, directions of sound classes.

A few trees score these features and reject most candidates (a cascade: Viola & Jones 2001). The others get a closer
look:

- repetition: whether what comes after, or before, runs parallel to an earlier stretch (Paulus, Müller & Klapuri 2010,
  sec. 4), whether the parallel begins or ends here, and whether the sound changed at that place of the parallel;
- whether anything in the past is similar to what comes after, compared with what comes just before;
- whether the onsets keep their period; how long ago the sound last seemed to change.

Nothing is computed twice: every new vector costs one row of similarities, which updates all running sums.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from streamseg.engine.boundaries import close_look_features, glance_features, running_sums
from streamseg.engine.boundaries.running_sums import CAPACITY, PENALTIES, SPACES, Floats, Ints, RunningSums
from streamseg.engine.boundaries.trees import BoostedTrees, evaluate_trees
from streamseg.engine.features.periodicity import PERIODICITY_DIMS
from streamseg.engine.features.texture import (
    HARMONY,
    LEVEL_DIMS,
    STANDARDISED_DIMS,
    TEXTURE_DIMS,
    TEXTURE_MEAN,
    TEXTURE_STD,
)
from streamseg.engine.kernels import kernel, subkernel
from streamseg.engine.models.weights import BoundaryModel

_GAMMAS = np.array([0.5, 0.7, 4.0, 0.7])  # of the rational quadratic kernel, by space
_CHROMA: Final = int(HARMONY[0])  # where harmony begins in a texture vector
_REJECTION_PENALTY: Final = 30.0  # subtracted from the log-odds of rejected candidates
_MIN_CANDIDATE: Final = 4  # the first vectors of a stream are no candidates
_GLANCE_MEMORY_AGE: Final = 12  # from this age on, a candidate's probability at first glance is stored


class ClassifierTables(NamedTuple):
    """The weights and constants of a boundary model, as arrays that the compiled code reads.

    k: dimensions of the projection. c: class directions. A: ages.
    """

    projection: Floats  # float64 (TEXTURE_DIMS, k)
    classes: Floats  # float64 (STANDARDISED_DIMS, c)
    texture_mean: Floats  # float64 (STANDARDISED_DIMS,)
    texture_std: Floats  # float64 (STANDARDISED_DIMS,)
    offsets: Ints  # int64 (SPACES + 1,) where each space begins among the dimensions of `RunningSums.vectors`
    gammas: Floats  # float64 (SPACES,)
    ages: Ints  # int64 (A,) vectors
    trees: BoostedTrees
    glance_trees: int  # how many of the trees score at first glance
    gate: float  # log-odds below which they reject a candidate


class CandidateFeaturesAndScores(NamedTuple):
    """Each boundary candidate's features, and the log-odds that the sound changed there; one candidate for each age.

    F: features. A: ages, in vectors; 1 is that of the newest vector.
    """

    features: Floats  # float64 (A, F); of a rejected candidate only the first-glance features
    scores: Floats  # float64 (A,) log-odds of a change
    pulses: Floats  # float64 (2, PERIODICITY_DIMS) scratch


@subkernel
def _write_vector(vector: Floats, tables: ClassifierTables, state: RunningSums) -> None:
    """Write a texture vector, float64 (VECTOR_DIMS,), as the newest one in each space, with levels and classes."""
    n = state.n[0]
    at = 0
    for k in range(tables.projection.shape[1]):
        total = 0.0
        for d in range(TEXTURE_DIMS):
            total += vector[d] * tables.projection[d, k]
        state.vectors[at, n] = total
        at += 1
    for d in range(TEXTURE_DIMS):
        state.vectors[at, n] = vector[d]
        at += 1
    mean, std = tables.texture_mean, tables.texture_std
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
    for k in range(tables.classes.shape[1]):
        total = 0.0
        for d in range(STANDARDISED_DIMS):
            total += vector[d] * tables.classes[d, k]
        state.extra[n, LEVEL_DIMS + k] = total


@subkernel
def _update_running_sums(vector: Floats, tables: ClassifierTables, state: RunningSums) -> None:
    """Add the newest vector, which `_write_vector` has written, to all running sums."""
    n = state.n[0]
    for d in range(state.vectors.shape[0]):
        state.totals[n + 1, d] = state.totals[n, d] + state.vectors[d, n]
    for d in range(state.extra.shape[1]):
        state.extra_totals[n + 1, d] = state.extra_totals[n, d] + state.extra[n, d]
    for d in range(state.pulse_totals.shape[1]):
        state.pulse_totals[n + 1, d] = state.pulse_totals[n, d] + vector[STANDARDISED_DIMS + d]
    offsets = tables.offsets
    for s in range(SPACES):
        running_sums.compare_newest_vector(s, offsets[s], offsets[s + 1], tables.gammas[s], state)
        running_sums.add_newest_to_block_sums(s, state)
    for b in range(len(PENALTIES)):
        running_sums.extend_optimal_partitioning(b, state)
    running_sums.extend_diagonal_sums(state)
    running_sums.add_newest_to_past_matches(state)
    state.glance_probability[n + 1] = 0.0
    state.n[0] = n + 1


@kernel
def _push_vector(vector: Floats, tables: ClassifierTables, state: RunningSums, out: CandidateFeaturesAndScores) -> None:
    """Add a texture vector, float64 (VECTOR_DIMS,), to the sums; describe and score the candidate of each age.

    One kernel, since passing these arrays from Python costs as much as describing several candidates.
    """
    _write_vector(vector, tables, state)
    _update_running_sums(vector, tables, state)
    e, first_tree, offsets = state.n[0], np.int64(0), tables.offsets
    for k in range(len(tables.ages)):
        c = e - tables.ages[k]
        row = out.features[k]
        out.scores[k] = -np.inf
        if c < _MIN_CANDIDATE:
            continue
        for s in range(SPACES):
            glance_features.write_novelty(
                c, e, s, offsets[s], offsets[s + 1], state, row, s * glance_features.N_NOVELTY
            )
        after_novelty = SPACES * glance_features.N_NOVELTY + first_tree
        at = glance_features.write_optimal_partitioning(c, e, state, row, after_novelty)
        at = glance_features.write_level_steps_and_classes(c, e, tables.classes.shape[1], state, row, at)
        glance = evaluate_trees(row, tables.trees, first_tree, tables.glance_trees)
        if tables.ages[k] >= _GLANCE_MEMORY_AGE:
            state.glance_probability[c] = 1.0 / (1.0 + np.exp(-glance))
        if glance < tables.gate:
            out.scores[k] = glance - _REJECTION_PENALTY
            continue
        at = close_look_features.write_repetition(c, e, state, row, at)
        at = close_look_features.write_past_matches(c, e, state, row, at)
        at = close_look_features.write_rhythm(c, e, state, out.pulses[0], out.pulses[1], row, at)
        close_look_features.write_section_lengths(c, state, row, at)
        out.scores[k] = evaluate_trees(row, tables.trees, tables.glance_trees, len(tables.trees.first))


class CandidateScorer:
    """Computes, at each new texture vector, the log-odds of a boundary at certain earlier vectors, and their features.

    `model.ages` says how many vectors back each of these lies.
    """

    def __init__(self, model: BoundaryModel) -> None:
        """model: projection, class directions, ages and trees."""
        n_projection_dims, classes = model.projection.shape[1], model.classes.shape[1]
        self._tables = ClassifierTables(
            projection=model.projection,
            classes=model.classes,
            texture_mean=TEXTURE_MEAN,
            texture_std=TEXTURE_STD,
            offsets=np.cumsum([0, n_projection_dims, TEXTURE_DIMS, len(HARMONY), LEVEL_DIMS]),
            gammas=_GAMMAS,
            ages=model.ages,
            trees=BoostedTrees(model.first, model.feature, model.threshold, model.left, model.right, model.value),
            glance_trees=int(model.glance_trees),
            gate=float(model.gate),
        )
        self.n_glance_features = glance_features.N_FIXED + classes * glance_features.N_PER_CLASS
        self.n_features = self.n_glance_features + close_look_features.N_FEATURES
        self._candidates = CandidateFeaturesAndScores(
            features=np.zeros((len(model.ages), self.n_features)),
            scores=np.zeros(len(model.ages)),
            pulses=np.zeros((2, PERIODICITY_DIMS)),
        )
        self._sums = running_sums.allocate_running_sums(
            dims=int(self._tables.offsets[-1]), extras=LEVEL_DIMS + classes, lags=PERIODICITY_DIMS
        )

    @property
    def features(self) -> Floats:
        """Features of the candidates at the last push, float64 (ages, n_features), overwritten by the next push.

        Of a rejected candidate only the first-glance features are written.
        """
        return self._candidates.features

    def push(self, vector: Floats) -> Floats:
        """Process the next texture vector, float64 (VECTOR_DIMS,); return log-odds of a change, one for each age.

        Returned is float64 (ages,). Entry k is of the candidate `ages[k]` vectors back, -inf where there is none. The
        next push overwrites the returned array, and `features`. The vector is one that `TextureExtractor` returned.
        """
        if self._sums.n[0] == CAPACITY:
            running_sums.drop_old_vectors(self._sums)
        _push_vector(vector, self._tables, self._sums, self._candidates)
        return self._candidates.scores
