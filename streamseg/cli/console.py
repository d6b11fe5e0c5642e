"""A Rich console that is safe for text from outside and for output streams that may fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from streamseg.cli.standard_streams import TolerantStream, report_lost_output, report_restored_output
from streamseg.wire.printable import make_printable


class SanitisingConsole(Console):
    """A Rich console that removes control characters from all text, so that printed text cannot control the terminal.

    Only the styles and cursor movements of Rich pass. Line breaks are removed from strings too, but not from text in
    tables and panels. Callers need not clean text from outside.
    """

    _tolerant: TolerantStream | None = None

    @property
    def file(self) -> IO[str]:
        """The stream that the console prints to, wrapped in a `TolerantStream`, so that no write fails."""
        stream = cast("IO[str]", Console.file.fget(self))  # type: ignore[attr-defined]
        if isinstance(stream, TolerantStream):
            return cast("IO[str]", stream)
        if self._tolerant is None or self._tolerant.stream is not stream:
            reports = () if self.stderr else (_report_output_error, report_restored_output)
            self._tolerant = TolerantStream(cast("TextIO", stream), *reports)
        return cast("IO[str]", self._tolerant)

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        """Set the stream that the console prints to."""
        Console.file.fset(self, new_file)  # type: ignore[attr-defined]

    def print(self, *objects: Any, **options: Any) -> None:
        """Print `objects` as Rich does, but each string on one line and without control characters."""
        super().print(*(make_printable(each) if isinstance(each, str) else each for each in objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments that Rich renders for `renderable`, but without control characters in their text."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control or (text.isascii() and text.isprintable()):
                yield segment
            else:
                yield Segment("\n".join(map(make_printable, text.split("\n"))), style)


def _report_output_error(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):  # the reader has ended, which ends the command
        raise error
    report_lost_output(error)
