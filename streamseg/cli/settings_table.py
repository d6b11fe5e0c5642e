"""Prints the tables of `streamseg --settings`: each setting with its value per profile, range and description."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from streamseg.settings import PROFILES, ServerSettings, Settings, make_settings

_WIDTH_WHEN_PIPED = 160


def print_settings() -> None:
    """Print the tables of all engine and server settings to standard output."""
    profiles = [make_settings(profile) for profile in PROFILES]
    _print_table("engine: --set NAME=VALUE", Settings, dict(zip(PROFILES, profiles, strict=True)))
    _print_table("server: --set NAME=VALUE with serve", ServerSettings, {"default": ServerSettings()})


def _print_table(title: str, kind: type[msgspec.Struct], columns: dict[str, Any]) -> None:
    table = Table("setting", *columns, "range", "description", title=title, title_justify="left")
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    for name, field in schema.items():
        if name != "profile":
            values = (f"{getattr(value, name)}" for value in columns.values())
            table.add_row(name, *values, _format_range(field), field.get("description", ""))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_WHEN_PIPED)
    console.print(table)


def _format_range(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(field["enum"])
    lowest = f"above {field['exclusiveMinimum']}" if "exclusiveMinimum" in field else field.get("minimum", "")
    return (
        f"{lowest} to {field['maximum']}"
        if "maximum" in field
        else f"{lowest}{' or more' if 'minimum' in field else ''}"
    )
