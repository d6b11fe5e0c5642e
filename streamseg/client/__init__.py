"""Clients of a server: the session without a socket, an asynchronous and a blocking subscription."""

from streamseg.client.blocking import BlockingSubscription, send_request, subscribe_sync
from streamseg.client.session import ClientSession, EventsDropped, Message, ResumePoint, StreamHeartbeat, StreamJoined
from streamseg.client.subscription import Subscription, subscribe

__all__ = [
    "BlockingSubscription",
    "ClientSession",
    "EventsDropped",
    "Message",
    "ResumePoint",
    "StreamHeartbeat",
    "StreamJoined",
    "Subscription",
    "send_request",
    "subscribe",
    "subscribe_sync",
]
