"""`streamseg name`: give a label of a running server a name."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = """Examples:

streamseg name ws://127.0.0.1:8765/ws B Chorus

streamseg name ws://127.0.0.1:8765/ws C "Jingle 1" --stream studio
"""


def command(
    address: Annotated[str, typer.Argument(metavar="ws://HOST:PORT/ws", help="The server's address.")],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The letter it is known by so far.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called from now on.")],
    stream: Annotated[str | None, typer.Option(help="The stream, where the server has several.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="STREAMSEG_CONTROL_TOKEN", help="The server's control token.")
    ] = None,
) -> None:
    """Give a label a name; the server says so to everybody, and recognises it in the next run too."""
    from streamseg.cli import terminal
    from streamseg.client.control import send_request
    from streamseg.wire.label_names import check_name

    name = check_name(name)
    answer = send_request(address, "name", stream=stream, token=token, label=label, name=name)
    terminal.stderr.print(f"{answer['stream']}: {label} is called {name} now")
