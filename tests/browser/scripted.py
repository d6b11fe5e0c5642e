"""A scripted programme: what an engine might say, second by second, without any sound.

Everything the page shows occurs in it: labels that return, a boundary that is taken back, talk over music, a title,
a gap, an alarm. Deterministic, so that a test knows each event beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from streamseg.wire import events as facts
from streamseg.wire.events import Event

# label, seconds, what it sounds like, level in dB
SCENES = [
    ("A", 14.0, {"music"}, -16.0),
    ("B", 11.0, {"speech"}, -24.0),
    ("A", 16.0, {"music"}, -15.0),
    ("C", 12.0, {"music", "speech"}, -18.0),
    ("D", 9.0, {"silence"}, -58.0),
    ("B", 12.0, {"speech"}, -23.0),
    ("E", 15.0, set(), -30.0),
    ("A", 18.0, {"music"}, -14.0),
]
CONFIRMED_AFTER_S = 3.0


def report(duration_s: float, kinds: set[str], level_db: float, seed: int) -> facts.Report:
    music = "music" in kinds
    return facts.Report(
        duration_s=duration_s,
        integrated_lufs=level_db - 1.2,
        loudness_range_lu=4.1 + seed % 5,
        true_peak_db=min(-0.3, level_db + 13),
        tempo_bpm=96.0 + 7 * (seed % 6) if music else None,
        tempo_confidence=0.8 if music else None,
        key="A minor" if music else None,
        camelot="8A" if music else None,
        key_confidence=0.7 if music else None,
        pitch_median_hz=180.0 + 10 * seed if kinds - {"silence"} else None,
        voiced_fraction=0.6 if "speech" in kinds else 0.2,
        centroid_hz=900.0 + 420 * (seed % 7),
        bandwidth_hz=1400.0,
        flatness=0.02 + 0.05 * (seed % 4),
        onset_rate_hz=2.0 + seed % 4,
        chroma=tuple(0.15 + 0.85 * abs(math.sin(seed + n * 1.7)) for n in range(12)),
        speech_fraction=0.97 if "speech" in kinds else 0.02,
        music_fraction=0.98 if music else 0.01,
        silence_fraction=1.0 if "silence" in kinds else 0.0,
    )


def opening(source: str = "scripted") -> list[Event]:
    started = facts.StreamStarted(
        sample_rate=48_000,
        channels=2,
        source=source,
        profile="music",
        settings={},
        latency_s=CONFIRMED_AFTER_S,
        hashes={},
    )
    return [Event("stream", started)]


def sections(scenes: int) -> list[tuple[int, float, float]]:
    """(number, start, end) of that many scenes, one after the other, for ever."""
    found, start = [], 0.0
    for n in range(scenes):
        end = start + SCENES[n % len(SCENES)][1]
        found.append((n, start, end))
        start = end
    return found


def _label(n: int) -> str:
    return SCENES[n % len(SCENES)][0]


def _seen(n: int) -> bool:
    return _last_seen(n) is not None


def _last_seen(n: int) -> float | None:
    """When the label of scene n was last heard before it."""
    return max((end for m, _, end in sections(n) if _label(m) == _label(n)), default=None)


def boundary_events(n: int, t: float, previous_start: float) -> list[Event]:
    """Everything said when the boundary between scene n - 1 and n, at `t`, is confirmed."""
    label, _, kinds, _ = SCENES[n % len(SCENES)]
    before, _, before_kinds, before_db = SCENES[(n - 1) % len(SCENES)]
    confirmed = facts.BoundaryConfirmed(
        boundary_id=f"b-{n}",
        t=t,
        decided_t=t + CONFIRMED_AFTER_S,
        t_uncertainty=0.25,
        confidence=0.6 + 0.39 * abs(math.sin(n)),
        evidence=facts.FeatureDistances(timbre=0.9, harmony=0.3 + 0.6 * (n % 2), rhythm=0.2, level=0.4 + 0.3 * (n % 3)),
        snapped_to="downbeat" if n % 3 == 0 else None,
        prev=facts.PreviousSection(section_id=f"s-{n - 1}", label=before),
        next=facts.NextSection(section_id=f"s-{n}", label=label, seen_before=_seen(n), last_seen=_last_seen(n)),
    )
    closed = facts.SectionClosed(
        section_id=f"s-{n - 1}",
        start=previous_start,
        end=t,
        ended_by="boundary",
        label=before,
        name=None,
        label_confidence=0.88,
        report=report(t - previous_start, before_kinds, before_db, n - 1),
    )
    sound = facts.SoundChanged(
        t=t,
        decided_t=t + CONFIRMED_AFTER_S,
        speech="speech" in kinds,
        music="music" in kinds,
        silence="silence" in kinds,
        confidence=facts.SoundConfidence(speech=0.9, music=0.9, silence=0.9),
    )
    return [Event(f"b-{n}", confirmed), Event(f"s-{n - 1}", closed), Event("sound", sound)]


def provisional(boundary_id: str, t: float, decided_t: float, stability: float) -> Event:
    fact = facts.BoundaryProvisional(boundary_id=boundary_id, t=t, decided_t=decided_t, stability=stability, score=1.4)
    return Event(boundary_id, fact)


def updated(n: int, label: str, sure: float) -> Event:
    fact = facts.SectionUpdated(
        section_id=f"s-{n}",
        label=label,
        name=None,
        label_probabilities={label: sure, "Z": 1 - sure},
        seen_before=_seen(n),
        last_seen=_last_seen(n),
    )
    return Event(f"s-{n}", fact)


def programme(scenes: int = 8) -> Iterator[tuple[float, list[Event]]]:
    """(stream second, what is said then), a tenth of a second apart, meters and novelty included."""
    played = sections(scenes)
    ends = played[-1][2]
    say: dict[int, list[Event]] = {0: opening()}

    def at(t: float, *said: Event) -> None:
        say.setdefault(round(t * 10), []).extend(said)

    at(1.0, updated(0, "A", 0.6))
    at(
        1.2,
        Event(
            "sound",
            facts.SoundChanged(
                t=0.0,
                decided_t=1.2,
                speech=False,
                music=True,
                silence=False,
                confidence=facts.SoundConfidence(speech=0.1, music=0.9, silence=0.0),
            ),
        ),
    )
    for n, start, end in played:
        if n:
            at(start + 0.8, provisional(f"b-{n}", start + 0.4, start + 0.8, 0.3))
            at(start + 1.8, provisional(f"b-{n}", start, start + 1.8, 0.7))
            at(start + CONFIRMED_AFTER_S, *boundary_events(n, start, played[n - 1][1]))
            at(start + 5.0, updated(n, SCENES[n % len(SCENES)][0], 0.9))
        if n % 2 == 0 and end - start > 13:
            at(start + 7.0, provisional(f"no-{n}", start + 6.2, start + 7.0, 0.2))
            at(start + 9.5, Event(f"no-{n}", facts.BoundaryRetracted(boundary_id=f"no-{n}", decided_t=start + 9.5)))
    at(5.0, Event("stream", facts.StreamTitle(t=5.0, title="The Scripted Band – Overture in No Key")))
    at(20.0, Event("stream", facts.StreamGap(t=20.0, missing_s=0.6, cause="overflow")))
    for silent in (start for n, start, _ in played if n % len(SCENES) == 4):
        at(silent + 5.0, Event("alarm", facts.AlarmRaised(alarm="silence", since=silent, level_db=-58.3)))
        at(silent + 10.0, Event("alarm", facts.AlarmCleared(alarm="silence", since=silent + 9.0, level_db=-23.0)))
    for tick in range(round(ends * 10) + 1):
        t = tick / 10
        yield t, say.get(tick, []) + _high_volume(tick, t, played)


def _high_volume(tick: int, t: float, played: list[tuple[int, float, float]]) -> list[Event]:
    n, _, _ = next((row for row in played if row[1] <= t < row[2]), played[-1])
    label, _, kinds, level_db = SCENES[n % len(SCENES)]
    rms_db = level_db + 3 * math.sin(t * 3.1) + 2 * math.sin(t * 11.7)
    said = [
        Event(
            "meter",
            facts.MeterReading(
                t=t,
                rms_db=rms_db,
                peak_db=min(0.0, rms_db + 9),
                momentary_lufs=rms_db - 1,
                short_term_lufs=level_db,
                tempo_bpm=104.0 if "music" in kinds else None,
                key="A minor" if "music" in kinds else None,
                pitch_hz=None,
            ),
        )
    ]
    if tick % 2 == 0:
        nearest = min((abs(t - row[1] - 1.0) for row in played[1:]), default=99.0)
        value = 0.25 + 0.08 * math.sin(t * 1.3) + 0.05 * math.sin(t * 5.9) + 1.1 * math.exp(-(nearest**2) / 1.5)
        said.append(
            Event(
                "novelty",
                facts.Novelty(
                    t=t, value=value, threshold=0.7, label=label, label_probabilities={label: 0.86, "Z": 0.14}
                ),
            )
        )
    return said
