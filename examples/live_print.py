"""Print every change a server hears, as it happens: python live_print.py ws://127.0.0.1:8765/ws

The subscription survives a restart of the server or of the network: it comes back by itself and misses nothing.
"""

import asyncio
import sys

from streamseg import subscribe


async def main(address: str) -> None:
    async for event in subscribe(address, subscribe=["boundary", "stream"]):
        match event.type:
            case "streamseg.boundary.provisional.v1":
                print(f"{event.data.t:8.2f} s  perhaps a change", flush=True)
            case "streamseg.boundary.confirmed.v1":
                change = event.data
                known = ", heard before" if change.next.seen_before else ""
                print(f"{change.t:8.2f} s  from {change.prev.label} to {change.next.label}{known}", flush=True)
            case "streamseg.stream.stopped.v1":
                print(f"{event.data.t:8.2f} s  the end", flush=True)
                return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
