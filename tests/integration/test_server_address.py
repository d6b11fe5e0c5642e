"""Where a server may listen: ports in use, addresses of others, and what it takes off loopback."""

from __future__ import annotations

import pytest

from streamseg.errors import PortInUseError, ServerError, UsageError
from streamseg.server import Hub, serve


async def test_a_port_in_use():
    async with serve(Hub(), port=0) as server:
        with pytest.raises(PortInUseError, match=rf"port {server.port} on 127.0.0.1 is in use"):
            async with serve(Hub(), port=server.port):
                pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_off_loopback_takes_a_token_and_tls(host):
    with pytest.raises(UsageError, match="needs a token"):
        async with serve(Hub(), host, 0):
            pass
    with pytest.raises(UsageError, match="needs TLS"):
        async with serve(Hub(), host, 0, read_token="r"):
            pass


async def test_an_address_that_is_not_ours():
    with pytest.raises(ServerError, match="cannot listen on"):
        async with serve(Hub(), "192.0.2.1", 0, read_token="r", insecure=True):
            pass
