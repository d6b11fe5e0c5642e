"""The server room: events in at one door, every client served at the other. It never sees samples."""

from streamseg.server.hub import Hub
from streamseg.server.stream import Controls, Position
from streamseg.server.websocket import Server, serve

__all__ = ["Controls", "Hub", "Position", "Server", "serve"]
