"""Light follows sound: python lights.py ws://127.0.0.1:8765/ws 192.168.0.50

Each label has its own colour; a provisional boundary dims the light, a confirmed one changes the colour.
It sends Art-Net (DMX over UDP) to one RGB fixture at channel 1 of universe 0.
"""

import asyncio
import colorsys
import socket
import struct
import sys
import zlib

from streamseg import BoundaryConfirmed, BoundaryProvisional, subscribe

ART_NET_PORT = 6454


def art_dmx(red: float, green: float, blue: float) -> bytes:
    channels = bytes(round(255 * part) for part in (red, green, blue)) + b"\0"  # an even number of them
    return b"Art-Net\0" + struct.pack("<H", 0x5000) + struct.pack(">HBBHH", 14, 0, 0, 0, len(channels)) + channels


async def main(address: str, node: str, port: int = ART_NET_PORT) -> None:
    light = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hue = 0.0
    async for event in subscribe(address, subscribe=["boundary"]):
        if isinstance(event.data, BoundaryConfirmed):
            hue = zlib.crc32(str(event.data.next.label).encode()) % 360 / 360
        brightness = 0.3 if isinstance(event.data, BoundaryProvisional) else 1.0
        light.sendto(art_dmx(*colorsys.hsv_to_rgb(hue, 1.0, brightness)), (node, port))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
