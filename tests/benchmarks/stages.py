"""Where the engine's time goes: a stopwatch around the verbs of every stage, exact to the switch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from streamseg.engine.alarms import Alarms
from streamseg.engine.changepoints import ChangePoints
from streamseg.engine.features import Features
from streamseg.engine.judge import Judge
from streamseg.engine.loudness import Loudness
from streamseg.engine.placing import Placing
from streamseg.engine.report import Reports
from streamseg.engine.resampling import Resampler
from streamseg.engine.sections import Sections
from streamseg.engine.sound import Sound
from streamseg.engine.texture import Texture

REST = "python between the stages"
VERBS = {
    "resampling": [(Resampler, "push"), (Resampler, "flush")],
    "loudness and true peak": [(Loudness, "push")],
    "alarms": [(Alarms, "push"), (Alarms, "until")],
    "features": [(Features, "push")],
    "texture": [(Texture, "push")],
    "evidence and judge": [(Judge, "push"), (ChangePoints, "push"), (ChangePoints, "settle")],
    "placing": [(Placing, "push"), (Placing, "place")],
    "kind of sound": [(Sound, "push"), (Sound, "fractions")],
    "sections and labels": [(Sections, "push"), (Sections, "say"), (Sections, "close")],
    "report": [(Reports, "push_frames"), (Reports, "push_blocks"), (Reports, "close")],
}


class Stopwatch:
    """CPU seconds by stage; a stage that calls another is not charged for it."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys([*VERBS, REST], 0.0)
        self._stage, self._since = REST, 0.0

    def turn(self, stage: str) -> str:
        """Charge what passed to the stage that ran, and let `stage` run; returns the one that ran."""
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
        """Every engine that runs in this block is timed."""
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
