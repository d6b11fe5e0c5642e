"""The server room: events in at one door, every client served at the other. It never sees samples."""

from streamseg.server.hub import Hub
from streamseg.server.websocket import Server, serve
from streamseg.wire.controls import StreamControls
from streamseg.wire.progress import StreamProgress

__all__ = ["Hub", "Server", "StreamControls", "StreamProgress", "serve"]
