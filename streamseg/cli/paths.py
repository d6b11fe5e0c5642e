"""Checks, before a command begins, that it overwrites none of its inputs, and an existing file only with permission."""

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
    """Return the set of files that a command reads, so that its outputs can be checked against them.

    sounds: sources as the user wrote them, without a stream name. files: other files; None is skipped, - is standard
    input. databases: history and name store; the files that SQLite creates beside them are added. feedback_file: the
    file of the feedback store. Databases and feedback file are written too, so none of them may be another input.
    Raises UsageError if one of them is, or if standard output or standard error is redirected to an input.
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
            from streamseg.history.sqlite_file import list_database_paths

            stores.append(list_database_paths(database))
    for store in stores:
        for path in store:
            inputs.refuse_input_as_output(path)
        for path in store:
            inputs.add_path(path)
    inputs.refuse_redirection_to_input()
    return inputs


def decide_replacing_outputs(
    paths: Sequence[Path], inputs: InputFiles, *, force: bool, folder_to_make: Path | None = None
) -> bool:
    """Return True if output files exist and may be replaced, False if none exists; otherwise raise UsageError.

    The result is the `replace` argument of the functions that write the files. force: replace without a question;
    otherwise the user is asked on a terminal, and elsewhere an existing file is an error.
    folder_to_make: a folder for output files that need not exist yet.
    Raises UsageError, OutputError.
    """
    ask = ask_user if can_ask_user() else None
    return inputs.decide_replacing_outputs(paths, force=force, ask=ask, folder_to_make=folder_to_make)


def decide_replacing_output(out: Path | None, inputs: InputFiles, *, force: bool) -> bool:
    """Return True if the file `out` exists and may be replaced, False if it does not exist or `out` is None (stdout).

    Asks the user and raises errors as `decide_replacing_outputs` does.
    """
    return decide_replacing_outputs([] if out is None else [out], inputs, force=force)


def refuse_input_as_capture(capture: Path, inputs: InputFiles) -> None:
    """Raise UsageError if the command reads the WAV file `capture` that it will write, or the marks file beside it."""
    from streamseg.sources.capture import capture_marks_path

    inputs.refuse_input_as_output(capture)
    inputs.refuse_input_as_output(capture_marks_path(capture))


def can_ask_user() -> bool:
    """Return whether standard input and standard error are terminals, so that the user can answer a question."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask_user(question: str) -> bool:
    """Print a question to standard error, wait for a line from standard input, and return True if the answer is yes."""
    from streamseg.cli import terminal

    terminal.stderr.print(f"{question} [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
