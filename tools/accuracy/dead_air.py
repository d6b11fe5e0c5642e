"""The alarm for dead air, on annotated programmes: raised in time for what lasts long enough, never for anything else.

    python -m tools.accuracy.dead_air FOLDER…

Every file is heard by the alarms alone, at its own rate. Dead air of `dead_air_s` must be said within a second more;
pauses in talk, fades, and scenes of silence that are too short must not be said at all.
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


def raised(path, settings):
    """(since, time of the decision) of every alarm for silence."""
    alarms, loudness, t, said = None, None, 0.0, []
    for item in AudioFileSource(path):
        if isinstance(item, Block):
            alarms = alarms or AlarmDetector(settings)
            loudness = loudness or LoudnessMeter(item.sample_rate, item.samples.shape[1])
            tenth = item.sample_rate // 10
            for at in range(0, len(item.samples), tenth):
                piece = item.samples[at : at + tenth]
                alarms.push(loudness.push(piece))
                t += len(piece) / item.sample_rate
                said += [
                    (event.data.since, t)
                    for event in alarms.take_events_until(t)
                    if isinstance(event.data, AlarmRaised) and event.data.alarm == "silence"
                ]
    return said


def check(folders, say=sys.stdout.write):
    """(dead air that lasted long enough, of it said in time, said without reason)."""
    settings = make_settings("broadcast")
    due = in_time = without = 0
    for file in (file for folder in folders for file in find_annotated_files(folder, "segments")):
        said = raised(file.audio, settings)
        for span in file.segments:
            if span.label != "silence":
                continue
            # What is quiet before dead air counts with it: the end of a fade, of a sentence.
            mine = [each for each in said if each[0] <= span.end and each[1] >= span.start]
            if span.end - span.start >= settings.dead_air_s + EDGE_S:
                due += 1
                good = bool(mine) and mine[0][1] <= span.start + settings.dead_air_s + LATE_S
                in_time += good
                if not good:
                    say(f"{file.audio.name}: {span.start:.1f} to {span.end:.1f} s said at {mine}\n")
            said = [each for each in said if each not in mine]
        without += len(said)
        if said:
            say(f"{file.audio.name}: said without reason at {said}\n")
    say(f"dead air: {in_time} of {due} said in time, {without} alarms without reason\n")
    return due, in_time, without


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    check(parser.parse_args().folders)
