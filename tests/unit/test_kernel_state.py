"""The arrays of kernels have the shapes and dtypes that the comments beside their names give."""

import builtins
import inspect
import re

import numpy as np
import pytest

from streamseg.engine.boundaries.candidates import CandidateScorer
from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.engine.fingerprints.fingerprint import Fingerprint
from streamseg.engine.fingerprints.matcher import FingerprintMatcher
from streamseg.engine.fingerprints.rows import ROW_WIDTH
from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.section_similarity import prepare_descriptor
from streamseg.engine.models.loader import load_boundary_model, load_label_model
from streamseg.engine.sound_class.network import SPEECH_MUSIC_WEIGHTS, SpeechMusicNetwork
from streamseg.engine.sound_class.silence_detector import SilenceDetector
from streamseg.settings import PROFILES, make_settings


def arrays_of(value):
    """Every NamedTuple reachable from an object's attributes."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        yield value
        for each in value:
            yield from arrays_of(each)
    elif hasattr(value, "__dict__"):
        for each in vars(value).values():
            yield from arrays_of(each)
    elif hasattr(value, "__slots__"):
        for name in value.__slots__:
            yield from arrays_of(getattr(value, name))


def split(shape):
    """The dimensions of a shape: parts between commas that lie in no bracket."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(shape + ","):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append(shape[start:at].strip())
            start = at + 1
    return [part for part in parts if part]


def documented(kind):
    """name: (dtype, dimensions) of each array of a NamedTuple, from its source."""
    found = {}
    for line in inspect.getsource(kind).splitlines():
        field = re.match(r"^    (\w+): (\w+)(?:  # (.*))?$", line)
        if not field:
            continue
        name, annotation, comment = field.groups()
        if annotation in {"int", "float"} or comment is None:
            found[name] = None  # a number, or another NamedTuple
            continue
        dtype, _, rest = comment.partition(" (")
        depth, end = 1, 0
        while depth:
            depth += (rest[end] == "(") - (rest[end] == ")")
            end += 1
        found[name] = (dtype, split(rest[: end - 1]))
    return found


def check(value):
    """One NamedTuple against its source. A name that the module does not have stands for the same size everywhere."""
    kind = type(value)
    module, sizes = dict(vars(inspect.getmodule(kind))), {}
    fields = documented(kind)
    assert list(fields) == list(kind._fields), kind
    arrays = [(name, *fields[name], getattr(value, name)) for name in fields if fields[name]]
    for name, dtype, dimensions, array in arrays:
        assert isinstance(array, np.ndarray), f"{kind.__name__}.{name} is no array"
        assert array.dtype == np.dtype(dtype), f"{kind.__name__}.{name} is {array.dtype}, not {dtype}"
        assert array.ndim == len(dimensions), f"{kind.__name__}.{name} has shape {array.shape}, not {dimensions}"
        for part, size in zip(dimensions, array.shape, strict=True):
            for unknown in {word for word in re.findall(r"[A-Za-z_]\w*", part) if not hasattr(builtins, word)}:
                if unknown not in module and unknown not in sizes:  # it is a summand, or the whole
                    sizes[unknown] = size - eval(part, module, sizes | {unknown: 0})
    for name, _, dimensions, array in arrays:
        expected = tuple(eval(part, module, sizes) for part in dimensions)
        assert array.shape == expected, f"{kind.__name__}.{name} has shape {array.shape}, not {dimensions} = {expected}"


def a_descriptor():
    descriptor = SectionDescriptor()
    descriptor.push(np.random.default_rng(0).normal(size=(30, len(descriptor.mean))))
    return descriptor


def a_matcher():
    rows = np.random.default_rng(0).integers(-7, 8, (120, ROW_WIDTH)).astype(np.int16)
    return FingerprintMatcher((Fingerprint("one", rows), Fingerprint("other", rows[:40])))


OWNERS = {
    **{f"boundaries {profile}": lambda p=profile: CandidateScorer(load_boundary_model(p)) for profile in PROFILES},
    "loudness": lambda: LoudnessMeter(44_100, 6),
    "loudness of one channel": lambda: LoudnessMeter(8_000, 1),
    "fingerprints": a_matcher,
    "no fingerprints": lambda: FingerprintMatcher(()),
    "network": lambda: SpeechMusicNetwork(SPEECH_MUSIC_WEIGHTS),
    "silence": lambda: SilenceDetector(make_settings("broadcast")),
    "descriptor": a_descriptor,
    "prepared descriptor": lambda: prepare_descriptor(a_descriptor(), load_label_model("dj")),
}
EXPECTED = {
    "BoostedTrees", "CandidateFeaturesAndScores", "ClassifierTables", "DescriptorArrays", "KWeighting",
    "LoudnessScratch",
    "LoudnessState", "LoudnessTables", "MatcherState", "NetworkState", "PeakInterpolators", "PreparedDescriptor",
    "RunningSums", "SilenceState", "SpeechMusicWeights", "TemplateArrays",
}  # fmt: skip


@pytest.mark.parametrize("name", OWNERS)
def test_shapes_and_dtypes_are_as_documented(name):
    values = list(arrays_of(OWNERS[name]()))
    assert values
    for value in values:
        if type(value).__name__ in EXPECTED:
            check(value)


def test_every_kernel_state_is_looked_at():
    kinds = {type(value).__name__ for make in OWNERS.values() for value in arrays_of(make())}
    assert kinds - {"_Template"} == EXPECTED


def test_a_wrong_comment_is_found(monkeypatch):
    silence = next(iter(arrays_of(SilenceDetector(make_settings("dj")))))
    check(silence)
    for wrong in (silence._replace(mean_db=np.zeros(2)), silence._replace(mean_db=np.zeros(1, np.float32))):
        with pytest.raises(AssertionError, match=r"SilenceState\.mean_db"):
            check(wrong)
