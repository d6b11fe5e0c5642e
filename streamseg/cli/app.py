"""The command line application: its commands, the options before a command, and the handling of errors."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streamseg import __version__
from streamseg.cli.commands import (
    analyze,
    demo,
    devices,
    evaluate,
    export,
    features,
    feedback,
    listen,
    name,
    names,
    serve,
    split,
    teach,
    tune,
    watch,
)
from streamseg.cli.terminal import print_warnings
from streamseg.errors import StreamsegError
from streamseg.wire.printable import make_printable


class _CommandGroup(TyperGroup):
    """Runs a command; prints an error as one line, or with `--debug` as a traceback, and exits with its code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print its warnings, and its error before the exit."""
        with print_warnings():
            return super().invoke(ctx) if ctx.params["debug"] else self._invoke_with_exit_code(ctx)

    def _invoke_with_exit_code(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except StreamsegError as error:
            _exit_with_error(str(error), error.exit_code)
        except (BrokenPipeError, typer.Exit, typer.Abort, KeyboardInterrupt):  # typer handles these
            raise
        except OSError as error:
            file = error.filename or "a file or a standard stream"
            _exit_with_error(f"{file} cannot be read or written: {error.strerror or error}", 1)
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("typer", "click"):  # some versions of typer contain click
                _clean_message(error)
                raise
            _exit_with_error(
                f"unexpected {type(error).__name__}: {error}; `streamseg --debug COMMAND …` shows where it happened", 1
            )

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the command line; control characters are removed from the message of a usage error."""
        try:
            return super().make_context(*args, **options)
        except Exception as error:
            _clean_message(error)
            raise


def _clean_message(usage_error: Exception) -> None:
    """Make the message printable: it may contain the name of a file, which typer prints unchanged."""
    message = getattr(usage_error, "message", None)
    if isinstance(message, str):  # some versions put the exception's kind before the message
        usage_error.message = make_printable(message).removeprefix("Value error, ")  # type: ignore[attr-defined]


def _exit_with_error(message: str, exit_code: int) -> None:
    print(f"streamseg: {make_printable(message)}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(exit_code)


app = typer.Typer(
    cls=_CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="To start: streamseg demo",
)


def _print_version(is_given: bool) -> None:
    if is_given:
        print(f"streamseg {__version__}", flush=True)  # noqa: T201
        raise typer.Exit


def _print_settings_and_exit(is_given: bool) -> None:
    if is_given:
        from streamseg.cli.settings_table import print_settings

        print_settings()
        raise typer.Exit


@app.callback()
def _main_options(
    debug: Annotated[bool, typer.Option("--debug", help="When something fails, show where: a traceback.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    settings: Annotated[
        bool,
        typer.Option(
            "--settings",
            callback=_print_settings_and_exit,
            is_eager=True,
            help="Show all settings that --set can change, and exit.",
        ),
    ] = False,
) -> None:
    """Listens to a live sound and says, while it plays, when it changes, what it is, and if it was heard before."""


for _module in (
    demo, listen, serve, analyze, watch, export, split, features, teach, devices, name, names, feedback, evaluate, tune,
):  # fmt: skip
    app.command(_module.__name__.rpartition(".")[2], epilog=_module.EXAMPLES)(_module.command)
app.command("lessons", hidden=True, epilog=feedback.EXAMPLES)(feedback.command)  # its old name
