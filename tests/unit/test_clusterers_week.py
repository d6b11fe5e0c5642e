"""Hours of random textures through every clusterer; `tools/load/clusterers_week.py` gives them a week."""

import pickle
from itertools import islice
from typing import get_args

import numpy as np
import pytest

from streamseg.settings import ClustererName
from streamseg.wire.events import SectionClosed
from tools.load.clusterers_week import TextureLabeller, is_resumable, textures


@pytest.mark.parametrize("clusterer", get_args(ClustererName))
def test_it_stays_as_large_and_resumes_the_same(clusterer):
    steps, labeller = textures(seed=1), TextureLabeller(clusterer)
    sizes, closed = [], 0
    for _ in range(2):
        for step in islice(steps, 5000):
            closed += sum(isinstance(event.data, SectionClosed) for event in labeller.push(step))
        sizes.append(len(pickle.dumps(labeller)))
    assert closed > 20
    assert sizes[1] < 1.1 * sizes[0]
    assert is_resumable(labeller, [*islice(steps, 1000)])


def test_what_is_not_a_number_poisons_nothing():
    labeller = TextureLabeller("sections")
    probabilities = [
        labeller.sections.label_probabilities for step in islice(textures(seed=2), 8000) for _ in [labeller.push(step)]
    ]
    assert np.isfinite([value for one in probabilities for value in one.values()]).all()
