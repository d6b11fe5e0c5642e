"""Serve a microphone and a page from your own program: python serve_microphone.py [SOURCE] [PORT]

SOURCE is `mic` (the default), `mic:NAME`, a file, which is played in real time, or `-`. Ctrl-C ends it.
"""

import asyncio
import contextlib
import sys

from streamseg import BoundaryConfirmed, Hub, Session, Supervisor, make_settings, open_source, serve


async def main(source: str = "mic", port: str = "8765") -> None:
    session = Session("live", open_source(source, live=True), make_settings("room"), telemetry=True)
    hub = Hub()
    hub.add_stream(session.stream, session.epoch, session)

    def handle_events(session, envelopes, progress):
        hub.publish(session.stream, envelopes, progress)
        for envelope in envelopes:
            match envelope.data:
                case BoundaryConfirmed(t=t, next=section):
                    print(f"{t:8.2f} s  section {section.label} begins", flush=True)

    async with serve(hub, "127.0.0.1", int(port)) as server:
        print(f"page: http://127.0.0.1:{server.port}/", flush=True)
        await Supervisor([session], handle_events).run()
    if session.failure:
        raise session.failure


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
