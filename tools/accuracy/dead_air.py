"""Accuracy of the alarm for dead air on annotated programmes.

    python -m tools.accuracy.dead_air FOLDER…

Every file is processed by the alarms alone, at its own rate. For dead air of `dead_air_s` the alarm must be raised
within one more second; for pauses in talk, fades and shorter silences it must not be raised.
"""

import argparse
import sys
from pathlib import Path

from streamseg.blocks import Block
from streamseg.engine.alarms import AlarmDetector
from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.evaluation.annotations import find_annotated_files
from streamseg.settings import make_settings
from streamseg.sources import AudioFileSource
from streamseg.wire.events import AlarmRaised

LATE_S = 1.0
EDGE_S = 0.3


def collect_alarms(path, settings):
    """Return (since, time of the decision) of every alarm for silence."""
    alarms, loudness, t, raised = None, None, 0.0, []
    for item in AudioFileSource(path):
        if isinstance(item, Block):
            alarms = alarms or AlarmDetector(settings)
            loudness = loudness or LoudnessMeter(item.sample_rate, item.samples.shape[1])
            tenth = item.sample_rate // 10
            for at in range(0, len(item.samples), tenth):
                piece = item.samples[at : at + tenth]
                alarms.push_loudness(loudness.push(piece))
                t += len(piece) / item.sample_rate
                raised += [
                    (event.data.since, t)
                    for event in alarms.take_events_until(t)
                    if isinstance(event.data, AlarmRaised) and event.data.alarm == "silence"
                ]
    return raised


def check(folders, write=sys.stdout.write):
    """Count dead air that is long enough, timely alarms for it, and false alarms."""
    settings = make_settings("broadcast")
    due = in_time = false = 0
    for file in (file for folder in folders for file in find_annotated_files(folder, "segments")):
        alarms = collect_alarms(file.audio, settings)
        for span in file.segments:
            if span.label != "silence":
                continue
            # Quiet sound before dead air counts as part of it: the end of a fade, of a sentence.
            matches = [alarm for alarm in alarms if alarm[0] <= span.end and alarm[1] >= span.start]
            if span.end - span.start >= settings.dead_air_s + EDGE_S:
                due += 1
                good = bool(matches) and matches[0][1] <= span.start + settings.dead_air_s + LATE_S
                in_time += good
                if not good:
                    write(f"{file.audio.name}: {span.start:.1f} to {span.end:.1f} s, alarms {matches}\n")
            alarms = [alarm for alarm in alarms if alarm not in matches]
        false += len(alarms)
        if alarms:
            write(f"{file.audio.name}: false alarms {alarms}\n")
    write(f"dead air: {in_time} of {due} in time, {false} false alarms\n")
    return due, in_time, false


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    check(parser.parse_args().folders)
