"""The microphone on a real sound server: nothing lost, and what happens to sound cards happens to it."""

import threading
import time

import numpy as np
import pytest

from streamseg.blocks import Block, Gap, SourceAvailabilityChange
from streamseg.errors import DeviceNotFoundError, UsageError
from streamseg.sources import AudioFileSource, list_devices, open_source
from tools import sound_files as sound
from tools.alignment import count_differing, find_start
from tools.virtual_card import NAME, RATE


class Listener:
    """A microphone being listened to in a thread, with the time at which everything came."""

    def __init__(self, source):
        self.source = source
        self.items = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for item in self.source:
            self.items.append((time.monotonic(), item))

    def wait_for(self, wanted, patience_s=20):
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            for at, item in list(self.items):
                if wanted(item):
                    return at, item
            time.sleep(0.01)
        raise AssertionError(f"never came; said so far: {self.said()}")

    def said(self):
        return [item for _, item in self.items if not isinstance(item, Block)]

    def samples(self):
        return np.concatenate([item.samples for _, item in self.items if isinstance(item, Block)])

    def stream_samples(self):
        return len(self.samples()) + sum(item.missing_samples for item in self.said() if isinstance(item, Gap))

    def stop(self):
        self.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def listen(card_here):
    listeners = []

    def start(spec=f"mic:{NAME}", **options):
        listener = Listener(open_source(spec, **options))
        listeners.append(listener)
        listener.wait_for(lambda item: isinstance(item, Block))
        return listener

    yield start
    for listener in listeners:
        listener.stop()


def test_the_card_is_listed_and_found_by_a_part_of_its_name(card_here):
    names = [device.name for device in list_devices()]
    assert NAME in names
    assert sum(device.is_default for device in list_devices()) == 1
    assert open_source(f"mic:{NAME[1:4].upper()}").sample_rate == RATE


def test_a_name_that_no_device_bears(card_here):
    with pytest.raises(DeviceNotFoundError, match=rf"'USB'.*{NAME}.*streamseg devices") as raised:
        open_source("mic:USB")
    assert raised.value.exit_code == 2


def test_more_channels_than_there_are(card_here):
    with pytest.raises(UsageError, match="channels"):
        open_source(f"mic:{NAME}", channels=99)


def test_not_one_sample_is_lost(card_here, listen, tmp_path):
    seconds = 6
    played = sound.pulsed_noise(seconds, RATE)
    path = sound.write(tmp_path / "played.wav", played)
    capture = tmp_path / "capture.wav"
    listener = listen(save=capture)
    started = time.monotonic()
    card_here.play(path).wait(seconds + 20)
    assert time.monotonic() - started > seconds - 1
    time.sleep(0.5)
    listener.stop()
    captured = listener.samples()
    assert listener.said() == []
    assert listener.source.dropped_samples == 0
    assert count_differing(played, captured, find_start(played, captured, RATE), RATE) == 0
    again = np.concatenate([item.samples for item in AudioFileSource(capture)])
    np.testing.assert_array_equal(again, captured)


def test_sound_comes_at_once_and_says_when_it_was_captured(listen):
    listener = listen()
    time.sleep(3)
    listener.stop()
    blocks = [(at, item) for at, item in listener.items if isinstance(item, Block)]
    assert np.median([len(item.samples) for _, item in blocks]) / RATE < 0.03
    wall = time.time() - time.monotonic()
    handed_on_s = [at + wall - item.captured_at for at, item in blocks[20:]]
    assert np.median(handed_on_s) < 0.02
    captured = [item.captured_at for _, item in blocks]
    assert captured == sorted(captured)


def test_an_unplugged_card_is_missed_waited_for_and_counted(card_here, listen):
    listener = listen()
    started = time.monotonic() - len(listener.samples()) / RATE
    time.sleep(1.5)
    unplugged = time.monotonic()
    card_here.unplug()
    try:
        at, _ = listener.wait_for(lambda item: isinstance(item, SourceAvailabilityChange), 5)
        assert at - unplugged < 1.0
        time.sleep(3)
    finally:
        card_here.plug_in()
    at_back, back = listener.wait_for(lambda item: isinstance(item, SourceAvailabilityChange) and item.back)
    time.sleep(1)
    listener.stop()
    lost, gap, _ = listener.said()
    assert isinstance(lost, SourceAvailabilityChange)
    assert "gone" in lost.reason
    assert isinstance(gap, Gap)
    assert gap.cause == "device-lost"
    assert 2.5 < back.away_s <= at_back - at + 0.5
    assert listener.source.dropped_samples == gap.missing_samples
    ended = listener.items[-1][0]
    assert abs(listener.stream_samples() / RATE - (ended - started)) < 0.25  # stream time went on without the card


def test_a_frozen_sound_server_is_said_and_what_it_kept_is_heard(card_here, listen, tmp_path):
    path = sound.write(tmp_path / "played.wav", sound.pulsed_noise(20, RATE))
    listener = listen()
    player = card_here.play(path)
    time.sleep(2)
    card_here.freeze()
    try:
        _, away = listener.wait_for(lambda item: isinstance(item, SourceAvailabilityChange), 6)
        assert "no sound has come" in away.reason
        time.sleep(1)
    finally:
        card_here.thaw()
    _, back = listener.wait_for(lambda item: isinstance(item, SourceAvailabilityChange) and item.back, 6)
    assert back.away_s > 2.5
    time.sleep(1)
    player.terminate()
    player.wait(10)
    listener.stop()
    ended = listener.items[-1][0]
    started = listener.items[0][0]
    assert abs(listener.stream_samples() / RATE - (ended - started)) < 0.25


def test_closing_ends_a_microphone_that_waits_for_its_device(card_here, listen):
    listener = listen()
    card_here.unplug()
    try:
        listener.wait_for(lambda item: isinstance(item, SourceAvailabilityChange), 5)
        listener.stop()
    finally:
        card_here.plug_in()
