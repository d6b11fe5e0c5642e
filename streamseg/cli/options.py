"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from streamseg.errors import SettingOutOfRange
from streamseg.outputs import FORMATS
from streamseg.settings import Profile, Settings, settings_for


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
HostOption = Annotated[str, typer.Option(help="Address to listen on. Any but loopback needs a token and TLS.")]
FormatOption = Annotated[
    str, typer.Option("--format", "-f", metavar="FORMAT", callback=_known_format, help=f"One of: {', '.join(FORMATS)}.")
]
OutOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="OUT", help="Write here instead of standard output.")
]


def chosen_settings(profile: Profile, changes: list[str] | None) -> Settings:
    """The profile with every `name=value` applied. Raises UnknownSetting or SettingOutOfRange."""
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
    return settings_for(profile, **values)
