"""Print every change that a server detects, when it happens: python live_print.py ws://127.0.0.1:8765/ws

After a restart of the server or a network failure the subscription connects again and misses no event.
"""

import asyncio
import sys

from streamseg import BoundaryConfirmed, BoundaryProvisional, StreamStopped, subscribe


async def main(address: str) -> None:
    async for event in subscribe(address, subscribe=["boundary", "stream"]):
        match event.data:
            case BoundaryProvisional(t=t):
                print(f"{t:8.2f} s  perhaps a change", flush=True)
            case BoundaryConfirmed(t=t, prev=previous, next=section):
                again = ", heard before" if section.seen_before else ""
                print(f"{t:8.2f} s  from {previous.label} to {section.label}{again}", flush=True)
            case StreamStopped(t=t):
                print(f"{t:8.2f} s  the end", flush=True)
                return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
