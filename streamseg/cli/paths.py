"""What a command reads, what it may write, and the question whether an existing file may be replaced."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamseg.cli.read_files import ReadFiles


def collect_inputs(
    *,
    sounds: Iterable[str | Path] = (),
    files: Iterable[str | Path | None] = (),
    databases: Iterable[Path | None] = (),
    lessons: Path | None = None,
) -> ReadFiles:
    """Everything that a command reads, so that nothing of it is written.

    sounds: sources as the user wrote them, without a stream's name. files: others; None is left out, - is standard
    input. databases: history and memory; what SQLite lays beside them is theirs. lessons: their file.
    Raises AskedWrongly when a database or the lessons are one of the other files, or standard output goes into one.
    """
    from streamseg.sources.capture import capture_marks_path

    reads = ReadFiles()
    for sound in map(str, sounds):
        if sound == "-":
            reads.add_standard_input()
        elif sound != "mic" and not sound.startswith("mic:"):
            reads.add_path(sound)
            if Path(sound).name:
                reads.add_path(capture_marks_path(Path(sound)))
    for file in files:
        if file is not None and str(file) == "-":
            reads.add_standard_input()
        elif file is not None:
            reads.add_path(file)
    stores = [] if lessons is None else [[lessons]]
    for database in databases:
        if database is not None:
            from streamseg.history.sqlite_file import database_files

            stores.append(database_files(database))
    for store in stores:
        for part in store:
            reads.refuse_output(part)
        for part in store:
            reads.add_path(part)
    reads.refuse_standard_streams()
    return reads


def check_outputs(paths: Sequence[Path], reads: ReadFiles, *, force: bool, folder_to_make: Path | None = None) -> bool:
    """Look, before the work begins, whether results may be written; returns whether they may replace existing files.

    On a terminal the user is asked. folder_to_make: need not exist yet. Raises AskedWrongly, OutputFailed.
    """
    asking = ask_user if is_interactive() else None
    return reads.check_output(paths, force=force, ask=asking, folder_to_make=folder_to_make)


def check_output(out: Path | None, reads: ReadFiles, *, force: bool) -> bool:
    """The same of one file; None is standard output."""
    return check_outputs([] if out is None else [out], reads, force=force)


def refuse_capture(capture: Path, reads: ReadFiles) -> None:
    """Raise AskedWrongly when a capture, or the marks beside it, would be a file that is read."""
    from streamseg.sources.capture import capture_marks_path

    reads.refuse_output(capture)
    reads.refuse_output(capture_marks_path(capture))


def is_interactive() -> bool:
    """Whether the program was started at a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask_user(question: str) -> bool:
    """Ask at the terminal; anything but a yes is a no."""
    from streamseg.cli import terminal

    terminal.stderr.print(f"{question} [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
