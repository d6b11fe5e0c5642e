"""Hours of random textures through every clusterer; `tools/load/clusterers_week.py` gives them a week."""

import pickle
from itertools import islice
from typing import get_args

import numpy as np
import pytest

from streamseg.settings import ClustererName
from streamseg.wire.events import SectionClosed
from tools.load.clusterers_week import Listener, is_resumable, textures


@pytest.mark.parametrize("clusterer", get_args(ClustererName))
def test_it_stays_as_large_and_resumes_the_same(clusterer):
    steps, listener = textures(seed=1), Listener(clusterer)
    sizes, closed = [], 0
    for _ in range(2):
        for step in islice(steps, 5000):
            closed += sum(isinstance(event.data, SectionClosed) for event in listener.hear(step))
        sizes.append(len(pickle.dumps(listener)))
    assert closed > 20
    assert sizes[1] < 1.1 * sizes[0]
    assert is_resumable(listener, [*islice(steps, 1000)])


def test_what_is_not_a_number_poisons_nothing():
    listener = Listener("sections")
    probabilities = [
        listener.sections.label_probabilities for step in islice(textures(seed=2), 8000) for _ in [listener.hear(step)]
    ]
    assert np.isfinite([value for one in probabilities for value in one.values()]).all()
