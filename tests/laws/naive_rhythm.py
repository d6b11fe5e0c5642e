"""Onsets, tempo and beat phase the slow way: every sum over the whole past, one definition after the other."""

import numpy as np

FRAMES_PER_SECOND = 22_050 / 512
LAGS = 401
SHORTEST, LONGEST = int(60 / 220 * FRAMES_PER_SECOND), int(60 / 45 * FRAMES_PER_SECOND)  # beats, in frames


def onsets(strength):
    """Return (1 where an onset lay two frames back, the running mean of the strengths) of each frame."""
    found, means, mean = np.zeros(len(strength)), [], 0.0
    padded = np.concatenate([np.zeros(4), strength])
    for frame in range(len(strength)):
        first, second, middle, *after = padded[frame : frame + 5]
        is_highest = first < middle and second < middle and all(later <= middle for later in after)
        found[frame] = is_highest and middle > mean + 1.0
        mean += (strength[frame] - mean) / FRAMES_PER_SECOND
        means.append(mean)
    return found, np.array(means)


def autocorrelation(rises):
    """Return, by lag, the products of the rises so far, fading over ten seconds."""
    ages = np.arange(len(rises))[::-1]
    faded = rises * np.exp(-1 / (10 * FRAMES_PER_SECOND)) ** ages
    return np.array([faded[lag:] @ rises[: len(rises) - lag] if lag < len(rises) else 0 for lag in range(LAGS)])


def comb(correlation, lag):
    """What onsets have in common with those one to four beats before, beyond half the mean."""
    half = 0.5 * correlation[SHORTEST:].mean()
    score = correlation[lag] - half
    for multiple, weight in ((2, 0.7), (3, 0.3), (4, 0.6)):
        score += weight * (correlation[lag * multiple - 1 : lag * multiple + 2].max() - half)
    return max(0.0, score)


def spectral(correlation, beat):
    """The spectrum of the autocorrelation at the beat, its half and its quarter; without the mean's."""
    lags = np.arange(LAGS)
    window = np.where(lags > 0, 0.5 + 0.5 * np.cos(np.pi * lags / LAGS), 0.0) / 30
    waves = sum(np.cos(2 * np.pi * parts * lags / beat) for parts in (1, 2, 4)) * window
    return max(0.0, waves @ correlation - waves.sum() * correlation[SHORTEST:].mean())


def prior(beat):
    return np.exp(-0.5 * (np.log2(60 * FRAMES_PER_SECOND / beat / 95) / 0.75) ** 2)


def parabola_top(correlation, lag):
    left, middle, right = correlation[lag - 1 : lag + 2]
    bend = left - 2 * middle + right
    return lag + 0.5 * (left - right) / bend if bend < 0 else float(lag)


def around(correlation, lag):
    return correlation[round(lag) - 1 : round(lag) + 2].sum()


def first_best(candidates, score):
    """Return the first candidate of the highest score above 0, or 0."""
    best = max(candidates, key=score)  # the first of equal ones
    return best if score(best) > 0 else 0


def beat_period(correlation):
    """Return the beat's length in frames; 0 where nothing repeats."""
    beat = first_best(
        range(SHORTEST, LONGEST + 1),
        lambda lag: (comb(correlation, lag) + 0.7 * spectral(correlation, lag)) * prior(lag),
    )
    if not beat:
        return 0.0
    halves_and_doubles = [beat // 2, (beat + 1) // 2, beat, 2 * beat - 1, 2 * beat, 2 * beat + 1]
    allowed = [lag for lag in halves_and_doubles if SHORTEST <= lag <= LONGEST]
    beat = first_best(allowed, lambda lag: comb(correlation, lag) * prior(lag)) or beat
    period = parabola_top(correlation, max((beat, beat - 1, beat + 1), key=correlation.__getitem__))
    period = period if abs(period - beat) <= 1 else float(beat)
    for multiple in range(2, 9):  # a peak at a multiple of the beat gives its length so many times more exactly
        near = round(period * multiple)
        if period * multiple + 3 >= LAGS:
            break
        top = max(range(near - 2, near + 3), key=correlation.__getitem__)
        if abs(top - near) == 2:
            break
        period = parabola_top(correlation, top) / multiple
    for parts in (2, 3):  # bare pulses: as strong at each part of the beat, with nothing between the parts
        part, strength = period / parts, around(correlation, period)
        is_playable = part * 225 >= 60 * FRAMES_PER_SECOND
        are_alike = min(around(correlation, part), around(correlation, part * (parts - 1))) > 0.7 * strength
        if is_playable and are_alike and around(correlation, part * 1.5) < 0.05 * strength:
            return part
    return period


def beat_phase(rises, period):
    """Return the phase of the newest rise: of the component of the past rises at that period."""
    past = rises[::-1][:LAGS]
    return np.angle(past @ np.exp(2j * np.pi * np.arange(len(past)) / period)) / (2 * np.pi) % 1


def rhythm(strength):
    """(frames,) onset strengths -> onset_found, tempo_bpm, tempo_confidence, beat_phase."""
    found, means = onsets(strength)
    rises = np.sqrt(np.maximum(0, strength - means))
    tempo, confidence, phase = np.zeros((3, len(strength)))
    period = sure = turn = 0.0
    for frame in range(len(strength)):
        if frame >= int(3 * FRAMES_PER_SECOND) and frame % 22 == 0:
            correlation = autocorrelation(rises[: frame + 1])
            period = beat_period(correlation) if correlation[0] > 1e-3 else 0.0
            sure = 0.0
            if period:
                floor = 3 * correlation.mean()
                alone = correlation[0] + 2 * correlation[1] - floor
                sure = np.clip((around(correlation, period) - floor) / alone, 0, 1) if alone > 0 else 0.0
                turn = beat_phase(rises[: frame + 1], period)
        elif period:
            turn = (turn + 1 / period) % 1
        if period:
            tempo[frame], phase[frame] = 60 * FRAMES_PER_SECOND / period, turn
        confidence[frame] = sure
    return found, tempo, confidence, phase
