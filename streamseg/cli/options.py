"""The options that several commands share, and functions that turn their values into settings, models and stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
import typer

from streamseg.errors import SettingRangeError, SourceNotFoundError, UsageError
from streamseg.outputs import FORMATS
from streamseg.settings import Profile, ServerSettings, Settings, check_setting_ranges, make_settings

if TYPE_CHECKING:
    from streamseg.engine.models.weights import BoundaryModel
    from streamseg.live.feedback_store import FeedbackStore
    from streamseg.live.name_store import NameStore

_SETTINGS = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]


_JSON_LINES_ENDINGS = {"", ".json", ".ndjson"}  # chapters end in .json too, but are written with --format only


def _check_format(name: str | None) -> str | None:
    if name is not None and name not in FORMATS:
        raise typer.BadParameter(f"no format {name!r}; choose from {', '.join(FORMATS)}")
    return name


ProfileOption = Annotated[
    Profile,
    typer.Option(
        "--profile",
        "-p",
        help="What the settings are chosen for: sections of a song (music), track changes of a mix (dj), parts of a "
        "radio programme (broadcast), any change of a scene (room).",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change one setting of the profile; may be repeated (streamseg --settings lists them).",
    ),
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
    typer.Option(
        metavar="FILE", help="The boundary classifier, as `streamseg tune` writes it, instead of the shipped one."
    ),
]
FeedbackOption = Annotated[
    Path | None,
    typer.Option(
        "--lessons",
        metavar="FILE",
        help="File of the feedback: boundaries that listeners marked as right, wrong or missed. Default: lessons.json "
        "beside the history.",
    ),
]
AnnotatedFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="Folder of sound files, each with its annotation beside it: start, end and label, separated by tabs.",
    ),
]
TruthOption = Annotated[
    Literal["auto", "sections", "transitions", "segments"],
    typer.Option(help="Which annotation: NAME.sections.tsv and so on; auto takes the most detailed one of each file."),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File of the event history, from which clients resume. Default: in your data folder."
    ),
]
NoHistoryOption = Annotated[
    bool, typer.Option("--no-history", help="Keep no events: a client that reconnects does not get those it missed.")
]
MemoryOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File of named labels and taught sounds. Default: memory.sqlite beside the history."
    ),
]
FormatOption = Annotated[
    str, typer.Option("--format", "-f", metavar="FORMAT", callback=_check_format, help=f"One of: {', '.join(FORMATS)}.")
]
OptionalFormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        callback=_check_format,
        help=f"One of: {', '.join(FORMATS)}. Default: the one of OUT's ending, or jsonl.",
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="OUT", help="Write to this file instead of standard output.")
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Replace an existing file, but never one that this command reads.", show_default=False
    ),
]


def settings_from_options(
    profile: Profile, changes: list[str] | None, lookahead_s: float | None, sensitivity: float | None = None
) -> Settings:
    """Return the settings of the profile, changed by the options `--set`, `--lookahead` and `--sensitivity`.

    changes: the values of `--set`, each `name=value`. None for a parameter means that the option was not given.
    Raises UnknownSettingError or SettingRangeError.
    """
    return make_settings(profile, **_parse_values(changes, lookahead_s, sensitivity))


def all_settings_from_options(
    profile: Profile, changes: list[str] | None, lookahead_s: float | None, sensitivity: float | None = None
) -> tuple[Settings, ServerSettings]:
    """Return the settings of the engine and of the server, for a command whose `--set` changes both.

    Parameters and errors are those of `settings_from_options`.
    """
    values = _parse_values(changes, lookahead_s, sensitivity)
    server = {name: values.pop(name) for name in ServerSettings.__struct_fields__ if name in values}
    check_setting_ranges(ServerSettings, server)
    return make_settings(profile, **values), msgspec.convert(server, ServerSettings)


def choose_format(name: str | None, out: Path | None) -> str:
    """Return the name of a format: the one that was given, else that of the ending of `out`.

    No ending, `.json` and `.ndjson` mean jsonl. Raises UsageError for an ending of no format.
    """
    if name is not None:
        return name
    ending = out.suffix.lower() if out is not None else ""
    if ending in _JSON_LINES_ENDINGS:
        return "jsonl"
    endings = {each.suffix: name for name, each in FORMATS.items() if each.suffix not in _JSON_LINES_ENDINGS}
    if ending not in endings:
        raise UsageError(
            f"the ending of {str(out)!r} does not tell the format; name it with --format ({', '.join(FORMATS)}), "
            f"or use one of the endings {', '.join(endings)}"
        )
    return endings[ending]


def load_chosen_model(path: Path | None) -> BoundaryModel | None:
    """Read the boundary classifier from the file `path`; return None, for the shipped classifier, if `path` is None.

    Raises SourceNotFoundError when there is no such file, UsageError when it is not a boundary classifier.
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
                f"--set {change!r} has no value; write --set {name}=VALUE (streamseg --settings lists the settings)"
            )
        try:
            values[name.strip()] = json.loads(value)
        except ValueError:
            values[name.strip()] = value  # not JSON: a word, such as the name of a clusterer
    if lookahead_s is not None:
        values["lookahead_s"] = lookahead_s
    if sensitivity is not None:
        values["sensitivity"] = sensitivity
    return values


class LiveStores(NamedTuple):
    """The history file, name store and feedback store of a live command; each is None if it is not used."""

    history: Path | None
    names: NameStore | None
    feedback: FeedbackStore | None

    @property
    def database_paths(self) -> list[Path | None]:
        """The paths of the history and of the name store, which are SQLite files; None for one that is not used."""
        return [self.history, self.names.path if self.names else None]

    @property
    def feedback_path(self) -> Path | None:
        """The path of the feedback file; None if it is not used."""
        return self.feedback.path if self.feedback else None


def choose_stores(history: Path | None, memory: Path | None, feedback: Path | None, *, no_history: bool) -> LiveStores:
    """Return the stores for the options `--history`, `--memory` and `--lessons`; None means the option's default.

    no_history: there is no history, and of the other two only files that are given are used. Raises UsageError when a
    file is not a store of its kind, or cannot be read.
    """
    from streamseg.history.database import refuse_foreign_history
    from streamseg.live import default_history_path, open_feedback_store, open_name_store

    if no_history:
        history = None
    elif history is None:
        history = default_history_path()
    else:
        refuse_foreign_history(history)
    return LiveStores(
        history,
        open_name_store(memory, history) if memory or history else None,
        open_feedback_store(feedback, history) if feedback or history else None,
    )
