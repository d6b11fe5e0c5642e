"""`streamseg watch`: prints the events of a server."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

EXAMPLES = """Examples:

streamseg watch ws://127.0.0.1:8765/ws

streamseg watch ws://127.0.0.1:8765/ws --stream mic --json > evening.jsonl

streamseg watch ws://127.0.0.1:8765/ws --subscribe boundary --subscribe sound
"""


def command(
    address: Annotated[str, typer.Argument(metavar="ws://HOST:PORT/ws", help="The server's address.")],
    stream: Annotated[list[str] | None, typer.Option(help="A stream to watch; may be repeated. Default: all.")] = None,
    subscribe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC",
            help="boundary, section, sound, alarm, stream, label, history, meter or novelty; may be repeated. "
            "Default: all but meter and novelty.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of text.")] = False,
    until_stopped: Annotated[
        bool,
        typer.Option("--until-stopped", help="End when every stream has stopped, instead of waiting for more events."),
    ] = False,
    token: Annotated[
        str | None, typer.Option(envvar="STREAMSEG_READ_TOKEN", help="The server's read token, if it has one.")
    ] = None,
) -> None:
    """Print the events of a server while they happen; after a lost connection it resumes and misses none."""
    from streamseg.cli.subscription_printer import print_subscribed_events
    from streamseg.client.subscription import subscribe as subscribe_to

    subscription = subscribe_to(address, streams=stream, subscribe=subscribe, token=token)
    asyncio.run(print_subscribed_events(subscription, as_json=json, until_stopped=until_stopped))
