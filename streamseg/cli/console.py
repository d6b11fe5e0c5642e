"""Rich's console, made safe for text from outside and for streams that may fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from streamseg.cli.standard_streams import TolerantStream, report_lost_output, report_restored_output
from streamseg.wire.printable import make_printable


class PrintableConsole(Console):
    """A console that removes control characters from what is printed, so that text cannot control the terminal.

    Only its own styles and cursor movements pass. Strings lose line breaks and control characters, text in tables and
    panels loses control characters; text from outside needs no other cleaning.
    """

    _tolerant: TolerantStream | None = None

    @property
    def file(self) -> IO[str]:
        """The stream that it prints to, as a `TolerantStream`."""
        stream = cast("IO[str]", Console.file.fget(self))  # type: ignore[attr-defined]
        if isinstance(stream, TolerantStream):
            return cast("IO[str]", stream)
        if self._tolerant is None or self._tolerant.stream is not stream:
            reports = () if self.stderr else (_report_output_error, report_restored_output)
            self._tolerant = TolerantStream(cast("TextIO", stream), *reports)
        return cast("IO[str]", self._tolerant)

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        Console.file.fset(self, new_file)  # type: ignore[attr-defined]

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does; each string becomes one line."""
        super().print(*(make_printable(each) if isinstance(each, str) else each for each in objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, without the control characters of the text itself."""
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
