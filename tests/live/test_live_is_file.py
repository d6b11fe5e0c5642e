"""Law 5: a capture analysed again says the very same, and so does the file that was played, but for when it began."""

import soundfile

from streamseg.sources.demo_programme import SAMPLE_RATE, render_programme
from tools.load.live_is_file import CONFIRMED, compare
from tools.virtual_card import RATE


def test_what_a_client_hears_of_the_sound_card_is_what_the_file_gives(card, tmp_path):
    assert SAMPLE_RATE == RATE
    played = tmp_path / "played.wav"
    soundfile.write(played, render_programme()[8 * RATE : 40 * RATE], RATE, subtype="FLOAT")
    found = compare(card, played, tmp_path, "broadcast")
    assert (found.lost_samples, found.differing_samples) == (0, 0)
    assert found.live == found.replayed
    kinds = {kind for kind, _, _ in found.live}
    assert {CONFIRMED, "streamseg.stream.stopped.v1"} <= kinds
    assert found.boundaries >= 2
    assert found.unmatched_s == []
