"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from streamseg.errors import SettingOutOfRange
from streamseg.outputs import FORMATS
from streamseg.settings import Profile, ServerSettings, Settings, settings_for


def _known_format(name: str) -> str:
    if name not in FORMATS:
        raise typer.BadParameter(f"no format {name!r}; choose from {', '.join(FORMATS)}")
    return name


ProfileOption = Annotated[
    Profile,
    typer.Option(
        "--profile",
        "-p",
        help="What is listened for: sections of a song, track changes of a mix, parts of a programme, "
        "any change of a scene.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change one number of the profile (see: streamseg --settings)."),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where events are kept for clients that resume; your data folder by default."),
]
NoHistoryOption = Annotated[bool, typer.Option("--no-history", help="Keep no events: who was away has missed them.")]
FormatOption = Annotated[
    str, typer.Option("--format", "-f", metavar="FORMAT", callback=_known_format, help=f"One of: {', '.join(FORMATS)}.")
]
OutOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="OUT", help="Write here instead of standard output.")
]


def chosen_settings(profile: Profile, changes: list[str] | None) -> Settings:
    """The profile with every `name=value` applied. Raises UnknownSetting or SettingOutOfRange."""
    return settings_for(profile, **_values(changes))


def chosen_for_server(profile: Profile, changes: list[str] | None) -> tuple[Settings, ServerSettings]:
    """The same where there is a server too: its settings are changed by the same option."""
    values = _values(changes)
    server = {name: values.pop(name) for name in ServerSettings.__struct_fields__ if name in values}
    try:
        return settings_for(profile, **values), msgspec.convert(server, ServerSettings)
    except msgspec.ValidationError as error:
        raise SettingOutOfRange(f"{error}; asked: {server}") from None


def _values(changes: list[str] | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for change in changes or []:
        name, equals, value = change.partition("=")
        if not equals:
            raise SettingOutOfRange(
                f"--set {change!r} names no value; write --set {name}=VALUE (streamseg --settings lists them)"
            )
        try:
            values[name.strip()] = json.loads(value)
        except ValueError:
            values[name.strip()] = value  # a word, such as the name of a clusterer
    return values


def history_path(history: Path | None, *, none: bool) -> Path | None:
    """Where to keep events, if at all."""
    import platformdirs

    if none:
        return None
    return history or platformdirs.user_data_path("streamseg") / "history.sqlite"
