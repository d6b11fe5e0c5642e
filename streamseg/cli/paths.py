"""Checks what a command may write: none of its inputs, and an existing file only when that is allowed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamseg.cli.input_files import InputFiles


def collect_inputs(
    *,
    sounds: Iterable[str | Path] = (),
    files: Iterable[str | Path | None] = (),
    databases: Iterable[Path | None] = (),
    feedback_file: Path | None = None,
) -> InputFiles:
    """Collect the files that a command reads, so that none of them is written.

    sounds: sources as the user wrote them, without a stream's name. files: other files; None is left out, - is standard
    input. databases: history and name store, with the files that SQLite makes beside them. feedback_file: of the
    feedback store. The last two are written too, so they must be none of the others.
    Raises UsageError when a database or the feedback file is one of the other files, or standard output goes into one.
    """
    from streamseg.sources.capture import capture_marks_path

    inputs = InputFiles()
    for sound in map(str, sounds):
        if sound == "-":
            inputs.add_standard_input()
        elif sound != "mic" and not sound.startswith("mic:"):
            inputs.add_path(sound)
            if Path(sound).name:
                inputs.add_path(capture_marks_path(Path(sound)))
    for file in files:
        if file is not None and str(file) == "-":
            inputs.add_standard_input()
        elif file is not None:
            inputs.add_path(file)
    stores = [] if feedback_file is None else [[feedback_file]]
    for database in databases:
        if database is not None:
            from streamseg.history.sqlite_file import database_files

            stores.append(database_files(database))
    for store in stores:
        for path in store:
            inputs.refuse_output(path)
        for path in store:
            inputs.add_path(path)
    inputs.refuse_standard_streams()
    return inputs


def check_outputs(
    paths: Sequence[Path], inputs: InputFiles, *, force: bool, folder_to_make: Path | None = None
) -> bool:
    """Check, before the work begins, that results may be written; returns whether they may replace existing files.

    On a terminal the user is asked before a file is replaced. folder_to_make: a folder that need not exist yet.
    Raises UsageError, OutputError.
    """
    ask = ask_user if is_interactive() else None
    return inputs.check_outputs(paths, force=force, ask=ask, folder_to_make=folder_to_make)


def check_output(out: Path | None, inputs: InputFiles, *, force: bool) -> bool:
    """Check one result as `check_outputs` does; None is standard output."""
    return check_outputs([] if out is None else [out], inputs, force=force)


def refuse_capture(capture: Path, inputs: InputFiles) -> None:
    """Raise UsageError when a capture, or the file of marks beside it, is an input."""
    from streamseg.sources.capture import capture_marks_path

    inputs.refuse_output(capture)
    inputs.refuse_output(capture_marks_path(capture))


def is_interactive() -> bool:
    """Whether standard input and standard error are a terminal, so that the user can be asked."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask_user(question: str) -> bool:
    """Ask at the terminal; returns whether the answer is yes."""
    from streamseg.cli import terminal

    terminal.stderr.print(f"{question} [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
