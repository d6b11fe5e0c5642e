"""The client library: subscriptions with and without asyncio, single requests, and the protocol without a socket."""

from streamseg.client.blocking import BlockingSubscription, subscribe_sync
from streamseg.client.control import send_request
from streamseg.client.protocol import ClientProtocol, Disconnected, Message, StreamHeartbeat, StreamJoined
from streamseg.client.subscription import Subscription, subscribe
from streamseg.wire.messages import EventCursor, EventsDropped

__all__ = [
    "BlockingSubscription",
    "ClientProtocol",
    "Disconnected",
    "EventCursor",
    "EventsDropped",
    "Message",
    "StreamHeartbeat",
    "StreamJoined",
    "Subscription",
    "send_request",
    "subscribe",
    "subscribe_sync",
]
