"""The virtual sound card, once for all live tests of this process."""

import sys

import pytest

from streamseg.sources import devices
from tools.virtual_card import virtual_card


def pytest_collection_modifyitems(items):
    if sys.platform == "linux":
        return
    for item in items:
        if "live" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="PortAudio reaches PulseAudio on Linux only, through ALSA"))


@pytest.fixture(scope="session")
def card():
    with virtual_card() as running:
        yield running


@pytest.fixture
def card_here(card):
    """The card, seen by this very process until the test ends."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in card.env.items():
            patch.setenv(key, value)
        devices.rescan_devices()
        yield card
    devices.rescan_devices()  # else later tests would find a device that they cannot open
