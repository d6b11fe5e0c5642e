"""CPU time of each stage of the engine, measured by wrapping its methods."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from streamseg.engine.alarms import AlarmDetector
from streamseg.engine.boundaries.classifier import BoundaryClassifier
from streamseg.engine.boundaries.refinement import BoundaryRefiner
from streamseg.engine.boundaries.tracker import BoundaryTracker
from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.engine.features.resampling import Resampler
from streamseg.engine.features.texture import TextureExtractor
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.engine.sections.report import SectionReportBuilder
from streamseg.engine.sound_class.classifier import SoundClassifier

REST = "python between the stages"
VERBS = {
    "resampling": [(Resampler, "push"), (Resampler, "flush")],
    "loudness and true peak": [(LoudnessMeter, "push")],
    "alarms": [(AlarmDetector, "push_loudness"), (AlarmDetector, "take_events_until")],
    "features": [(FeatureExtractor, "push")],
    "texture": [(TextureExtractor, "push")],
    "boundary classifier and tracker": [
        (BoundaryClassifier, "push"),
        (BoundaryTracker, "push"),
        (BoundaryTracker, "decide_all_pending_at_end"),
    ],
    "refinement": [(BoundaryRefiner, "store_frames"), (BoundaryRefiner, "refine_boundary")],
    "sound class": [(SoundClassifier, "push")],
    "sections and labels": [
        (SectionTracker, "push"),
        (SectionTracker, "apply_decision"),
        (SectionTracker, "close_section"),
    ],
    "report": [
        (SectionReportBuilder, "push_frames"),
        (SectionReportBuilder, "push_loudness"),
        (SectionReportBuilder, "close_section"),
    ],
}


class Stopwatch:
    """CPU seconds by stage; a stage does not include the stages that it calls."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys([*VERBS, REST], 0.0)
        self._stage, self._since = REST, 0.0

    def turn(self, stage: str) -> str:
        """Add the time since the last call to the current stage, and switch to `stage`; returns the former one."""
        now = time.process_time()
        self.seconds[self._stage] += now - self._since
        before, self._stage, self._since = self._stage, stage, now
        return before

    def around(self, stage: str, verb: Callable) -> Callable:
        def timed(*arguments, **named):
            before = self.turn(stage)
            try:
                return verb(*arguments, **named)
            finally:
                self.turn(before)

        return timed

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Time all engines that run in this block."""
        plain = [(kind, verb, getattr(kind, verb), stage) for stage, verbs in VERBS.items() for kind, verb in verbs]
        for kind, verb, method, stage in plain:
            setattr(kind, verb, self.around(stage, method))
        self._since = time.process_time()
        try:
            yield
        finally:
            self.turn(REST)
            for kind, verb, method, _ in plain:
                setattr(kind, verb, method)
