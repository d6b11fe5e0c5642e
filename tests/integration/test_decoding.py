"""Decoding: what changes midway, what once ended the program, and lists of other places."""

import numpy as np
import pytest
from integration.decoder_items import heard
from source_items import samples_of

from streamseg.blocks import Block
from streamseg.errors import NotAudioError
from streamseg.sources import AudioFileSource

ONCE_CRASHED = (3, 5, 30, 33, 56, 59, 81, 86, 104, 2379)  # numbers of mutants, seed 1, that ended the program


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("stereo.mp3", "mono.mp3"),
        ("stereo.mp2", "mono.mp2"),
        ("six.aac", "stereo.aac"),
        ("stereo.latm", "mono.latm"),
        ("six.ac3", "stereo.ac3"),
        ("six.dts", "stereo.dts"),
        ("six.ts", "stereo.ts"),
        ("stereo.aac", "slow.aac"),
    ],
)
def test_channels_layout_and_rate_may_change_midway(tmp_path, corpus, first, second):
    path = tmp_path / first
    path.write_bytes(corpus.content(first))
    whole, _ = heard(AudioFileSource(path))
    path.write_bytes(corpus.content(first) + corpus.content(second))
    joined, failure = heard(AudioFileSource(path))
    assert failure is None
    assert {(item.sample_rate, item.samples.shape[1]) for item in joined} == {
        (whole[0].sample_rate, whole[0].samples.shape[1])
    }
    assert len(samples_of(joined)) == pytest.approx(2 * len(samples_of(whole)), rel=0.1)
    after = samples_of(joined)[len(samples_of(whole)) * 3 // 2 :]
    assert 0.02 < np.sqrt(np.mean(after[:, 0] ** 2)) < 0.5  # the same sound, not what lay in memory
    assert np.abs(after).max() < 2


def test_channels_without_names_keep_their_numbers(tmp_path):
    """FFmpeg does not know where to put stereo among "9 channels"."""
    from av.audio.frame import AudioFrame

    from streamseg.decoding.converter import SampleConverter

    converter = SampleConverter()

    def pushed(values, layout):
        samples = np.tile(np.float32(values), (8000, 1))
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = 8000
        return b"".join(bytes(part) for part in converter.add_frame(frame))

    data = pushed(range(9), "9 channels") + pushed([6, 7], "stereo") + pushed([8], "mono")
    data += b"".join(bytes(part) for part in converter.flush())
    rows = np.unique(np.frombuffer(data, np.float32).reshape(-1, 9), axis=0)
    assert rows.tolist() == [list(range(9)), [6, 7, *[0] * 7], [8] * 9]


def test_what_once_crashed_or_hung(tmp_path, corpus):
    """Mutants of `tools.hostile.decoder` that ended the program with SIGSEGV, and some of every kind."""
    for number in ONCE_CRASHED:
        name, data = corpus.mutant(1, number)
        (tmp_path / name).write_bytes(data)
        items, failure = heard(AudioFileSource(tmp_path / name))
        assert "cannot be decoded: " not in str(failure)  # a fault of ours
        for item in items:
            assert isinstance(item, Block), name


@pytest.mark.parametrize("name", ["self.m3u8", "self.mp3"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{self}\n", "playlist"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n", "playlist"),
        ("ffconcat version 1.0\nfile '{other}'\n", "list of files"),
        ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n", "session"),
        ("<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>", "DASH"),
    ],
)
def test_lists_of_other_places_are_refused(tmp_path, corpus, name, text, kind):
    (tmp_path / "other.mp3").write_bytes(corpus.content("stereo.mp3"))
    (tmp_path / name).write_text(text.format(self=name, other="other.mp3"))
    with pytest.raises(NotAudioError, match=rf"{name} is .*{kind}"):
        list(AudioFileSource(tmp_path / name))
