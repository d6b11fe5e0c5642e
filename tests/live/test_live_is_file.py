"""Law 5: a capture analysed again says the very same, and so does the file that was played, but for when it began."""

import numpy as np
import soundfile

from streamseg.sources.demo_programme import SAMPLE_RATE, list_demo_scenes, render_programme
from tools.load.live_is_file import CONFIRMED, compare
from tools.virtual_card import RATE


def test_what_a_client_hears_of_the_sound_card_is_what_the_file_gives(card, tmp_path):
    assert SAMPLE_RATE == RATE
    played = tmp_path / "played.wav"
    talk, piece, rain = list_demo_scenes()[:3]
    programme = render_programme()
    parts = [(talk.end_s - 6.0, talk.end_s), (piece.start_s, piece.start_s + 8.0), (rain.start_s, rain.start_s + 8.0)]
    samples = np.concatenate([programme[round(start * RATE) : round(end * RATE)] for start, end in parts])
    soundfile.write(played, samples, RATE, subtype="FLOAT")
    found = compare(card, played, tmp_path, "broadcast")
    assert (found.lost_samples, found.differing_samples) == (0, 0)
    assert found.live == found.replayed
    kinds = {kind for kind, _, _ in found.live}
    assert {CONFIRMED, "streamseg.stream.stopped.v1"} <= kinds
    assert found.boundaries >= 2
    assert found.unmatched_s == []
