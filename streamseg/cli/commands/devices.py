"""`streamseg devices`: lists the input devices of this machine."""

from __future__ import annotations

EXAMPLES = """Then:

streamseg listen --device NAME
"""


def command() -> None:
    """List the input devices; the default is marked with a star."""
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.sources import list_devices
    from streamseg.wire.printable import make_printable

    devices = list_devices()
    if not devices:
        terminal.stderr.print("no input device on this machine; connect one, or play a file: streamseg serve FILE")
        return
    table = Table("", "name", "system", "channels", "rate", box=None)
    for device in devices:
        table.add_row(
            "*" if device.is_default else "",
            make_printable(device.name),
            make_printable(device.system),
            f"{device.channels}",
            f"{device.sample_rate} Hz",
        )
    terminal.stdout.print(table)
