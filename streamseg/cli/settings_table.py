"""Every setting as `settings.py` has it: its value in each profile, its range, what it is."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from streamseg.settings import PROFILES, Settings, settings_for

_WIDTH_WHEN_PIPED = 160


def print_settings() -> None:
    """Print the table to standard output."""
    values = [settings_for(profile) for profile in PROFILES]
    table = Table("setting", *PROFILES, "range", "what it is", title="--set NAME=VALUE", title_justify="left")
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    for name, field in schema.items():
        if name != "profile":
            table.add_row(name, *(f"{getattr(value, name)}" for value in values), _range(field), field["description"])
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_WHEN_PIPED)
    console.print(table)


def _range(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(field["enum"])
    if "exclusiveMinimum" in field:
        return f"above {field['exclusiveMinimum']}, to {field['maximum']}"
    return f"{field['minimum']} to {field['maximum']}" if "minimum" in field else ""
