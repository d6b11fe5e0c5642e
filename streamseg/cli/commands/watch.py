"""`streamseg watch`: what a server says, as lines for people or for programs."""

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
    stream: Annotated[
        list[str] | None, typer.Option(help="A stream to hear (all by default); may be repeated.")
    ] = None,
    subscribe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC",
            help="boundary, section, sound, alarm, stream, label, history, meter, novelty; may be repeated.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One event object a line instead of lines for people.")] = False,
    until_stopped: Annotated[
        bool, typer.Option("--until-stopped", help="End when every stream has stopped, instead of waiting for more.")
    ] = False,
    token: Annotated[
        str | None, typer.Option(envvar="STREAMSEG_READ_TOKEN", help="The server's token, where it asks for one.")
    ] = None,
) -> None:
    """Subscribe to a server and print what it says; after a break it resumes without a hole."""
    from streamseg.cli.subscription_printer import print_subscription
    from streamseg.client.subscription import subscribe as subscribe_to

    subscription = subscribe_to(address, streams=stream, subscribe=subscribe, token=token)
    asyncio.run(print_subscription(subscription, as_json=json, until_stopped=until_stopped))
