"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from streamseg.errors import SettingRangeError, SourceNotFoundError
from streamseg.outputs import FORMATS
from streamseg.settings import Profile, ServerSettings, Settings, check_setting_ranges, make_settings

if TYPE_CHECKING:
    from streamseg.engine.models.weights import BoundaryModel
    from streamseg.live.feedback_store import FeedbackStore
    from streamseg.live.name_store import NameStore

_SETTINGS = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]


def _check_format(name: str) -> str:
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
_LOOKAHEAD = _SETTINGS["lookahead_s"]
LookaheadOption = Annotated[
    float | None,
    typer.Option(
        "--lookahead",
        metavar="SECONDS",
        min=_LOOKAHEAD["minimum"],
        max=_LOOKAHEAD["maximum"],
        help=f"{_LOOKAHEAD['description'].capitalize()}; each profile has its own.",
        show_default=False,
    ),
]
_SENSITIVITY = _SETTINGS["sensitivity"]
SensitivityOption = Annotated[
    float | None,
    typer.Option(
        "--sensitivity",
        metavar="0..1",
        min=_SENSITIVITY["minimum"],
        max=_SENSITIVITY["maximum"],
        help=f"{_SENSITIVITY['description'].capitalize()}.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What judges changes, as `streamseg tune` wrote it, instead of the shipped one."),
]
FEEDBACK_FILE = "lessons.json"
FeedbackOption = Annotated[
    Path | None,
    typer.Option(
        "--lessons",
        metavar="FILE",
        help="What listeners taught by marking boundaries; with a history, beside it by default.",
    ),
]
AnnotatedFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="Sound files, each with its truth beside it: start, end, label, separated by tabs."
    ),
]
TruthOption = Annotated[
    Literal["auto", "sections", "transitions", "segments"],
    typer.Option(help="Which truth: NAME.sections.tsv and so on; auto takes the most telling one there is."),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where events are kept for clients that resume; your data folder by default."),
]
NoHistoryOption = Annotated[bool, typer.Option("--no-history", help="Keep no events: who was away has missed them.")]
MemoryOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where named labels and taught sounds are kept; beside the history by default."),
]
FormatOption = Annotated[
    str, typer.Option("--format", "-f", metavar="FORMAT", callback=_check_format, help=f"One of: {', '.join(FORMATS)}.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="OUT", help="Write here instead of standard output.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace an existing file (never one that is read).", show_default=False)
]


def settings_from_options(
    profile: Profile, changes: list[str] | None, lookahead_s: float | None, sensitivity: float | None = None
) -> Settings:
    """The profile with every `name=value` applied. Raises UnknownSetting or SettingOutOfRange."""
    return make_settings(profile, **_parse_values(changes, lookahead_s, sensitivity))


def server_settings_from_options(
    profile: Profile, changes: list[str] | None, lookahead_s: float | None, sensitivity: float | None = None
) -> tuple[Settings, ServerSettings]:
    """The same where there is a server too: its settings are changed by the same option."""
    values = _parse_values(changes, lookahead_s, sensitivity)
    server = {name: values.pop(name) for name in ServerSettings.__struct_fields__ if name in values}
    check_setting_ranges(ServerSettings, server)
    return make_settings(profile, **values), msgspec.convert(server, ServerSettings)


def load_chosen_model(path: Path | None) -> BoundaryModel | None:
    """The model in that file; None, which takes the shipped one, without a file.

    Raises SourceNotFound where there is no file, AskedWrongly where it is something else.
    """
    from streamseg.engine.models.weights import read_boundary_model

    if path is None:
        return None
    if not path.is_file():
        raise SourceNotFoundError(f"no model {str(path)!r}; make one with `streamseg tune`")
    return read_boundary_model(path.read_bytes(), str(path))


def _parse_values(changes: list[str] | None, lookahead_s: float | None, sensitivity: float | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for change in changes or []:
        name, equals, value = change.partition("=")
        if not equals:
            raise SettingRangeError(
                f"--set {change!r} names no value; write --set {name}=VALUE (streamseg --settings lists them)"
            )
        try:
            values[name.strip()] = json.loads(value)
        except ValueError:
            values[name.strip()] = value  # a word, such as the name of a clusterer
    if lookahead_s is not None:
        values["lookahead_s"] = lookahead_s
    if sensitivity is not None:
        values["sensitivity"] = sensitivity
    return values


def choose_history_path(history: Path | None, *, none: bool) -> Path | None:
    """Where to keep events, if at all. Raises AskedWrongly when that is a file of another kind."""
    import platformdirs

    if none:
        return None
    if history is not None:
        from streamseg.history.database import check_history

        check_history(history)
    return history or platformdirs.user_data_path("streamseg") / "history.sqlite"


def open_name_store(memory: Path | None, history: Path | None) -> NameStore | None:
    """The file of named sounds: as asked, else beside the history; None where there is neither.

    Raises AskedWrongly when something else lies there.
    """
    from streamseg.live.name_store import NameStore

    if memory is None and history is None:
        return None
    file = NameStore(memory or history.with_name("memory.sqlite"))  # type: ignore[union-attr]
    file.check()
    return file


def open_feedback_store(path: Path | None, history: Path | None) -> FeedbackStore | None:
    """The file of what listeners taught: as asked, else beside the history; None where there is neither.

    Raises AskedWrongly when it cannot be read.
    """
    from streamseg.live.feedback_store import FeedbackStore

    if path is None and history is None:
        return None
    book = FeedbackStore(path or history.with_name(FEEDBACK_FILE))  # type: ignore[union-attr]
    book.read_all()  # a damaged one is said now, not when the sound begins
    return book
