"""`streamseg name`: gives a name to a label of a running server."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = """Examples:

streamseg name ws://127.0.0.1:8765/ws B Chorus

streamseg name ws://127.0.0.1:8765/ws C "Jingle 1" --stream studio
"""


def command(
    address: Annotated[str, typer.Argument(metavar="ws://HOST:PORT/ws", help="The server's address.")],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label, such as B.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name from now on.")],
    stream: Annotated[str | None, typer.Option(help="The stream, if the server has several.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="STREAMSEG_CONTROL_TOKEN", help="The server's control token.")
    ] = None,
) -> None:
    """Give a label a name while its stream plays. All clients receive it, and later runs recognise the sound by it.

    Naming needs the control token that the server was started with; a server without one refuses it. Two labels may
    have one name: they stay two labels, and later runs recognise both sounds by it.
    """
    from streamseg.cli import terminal
    from streamseg.client.control import send_request
    from streamseg.wire.label_names import check_and_normalise_name

    name = check_and_normalise_name(name)
    response = send_request(address, "name", stream=stream, token=token, label=label, name=name)
    terminal.stderr.print(f"{response['stream']}: {label} is called {name} now")
