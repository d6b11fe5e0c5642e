"""A pickled Segmenter is read by the version that wrote it, and refused by another."""

import pickle

import numpy as np
import pytest

from streamseg import UsageError
from streamseg.engine import Segmenter, segmenter


def test_a_pickle_of_another_version_is_refused(monkeypatch):
    running = Segmenter()
    running.push(np.zeros(22_050))
    pickled = pickle.dumps(running)
    assert pickle.loads(pickled).t == running.t == 1.0
    monkeypatch.setattr(segmenter, "__version__", "99.0")
    with pytest.raises(UsageError, match=r"pickled by streamseg .*; 99\.0 cannot read it"):
        pickle.loads(pickled)
