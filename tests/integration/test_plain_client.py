"""The client that other tests listen with fails in time where what it waits for does not come."""

from __future__ import annotations

import pytest

from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from tools.load.event_feed import Feed
from tools.load.plain_client import client


async def test_heartbeats_do_not_prolong_a_wait():
    hub = Hub(ServerSettings(heartbeat_s=0.02))
    Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        with pytest.raises(TimeoutError, match=r"no message 'event' came within 0.3 s, but .'heartbeat'"):
            await listener.wait_for("event", 0.3)
