"""The server: records the events of live streams and sends them to clients. It never processes samples."""

from streamseg.server.hub import Hub
from streamseg.server.websocket import Server, serve
from streamseg.wire.controls import StreamControls
from streamseg.wire.progress import StreamProgress

__all__ = ["Hub", "Server", "StreamControls", "StreamProgress", "serve"]
