"""All commands, and what they have in common."""

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
from streamseg.errors import StreamsegError
from streamseg.wire.printable import make_printable


class _CommandGroup(TyperGroup):
    """Says a failure in one line and answers with its exit code; `--debug` lets the traceback through."""

    def invoke(self, ctx: Any) -> Any:
        if ctx.params["debug"]:
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except StreamsegError as error:
            _exit_with_error(str(error), error.exit_code)
        except (BrokenPipeError, typer.Exit, typer.Abort, KeyboardInterrupt):  # typer's own to answer
            raise
        except OSError as error:
            where = error.filename or "a file, or a standard stream,"
            _exit_with_error(f"{where} cannot be read or written: {error.strerror or error}", 1)
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("typer", "click"):  # as its version has it, inside or beside
                _clean_message(error)
                raise
            _exit_with_error(
                f"{type(error).__name__}: {error}; this was not foreseen, --debug shows where it happened", 1
            )

    def make_context(self, *args: Any, **options: Any) -> Any:
        """As typer's, for the options before the command's name."""
        try:
            return super().make_context(*args, **options)
        except Exception as error:
            _clean_message(error)
            raise


def _clean_message(usage_error: Exception) -> None:
    """What was typed may be a file's name, and typer prints it as it is."""
    message = getattr(usage_error, "message", None)
    if isinstance(message, str):  # some versions name the exception's kind before a wrong choice
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
    epilog="Begin with: streamseg demo",
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"streamseg {__version__}", flush=True)  # noqa: T201
        raise typer.Exit


def _print_settings_and_exit(requested: bool) -> None:
    if requested:
        from streamseg.cli.settings_table import print_settings

        print_settings()
        raise typer.Exit


@app.callback()
def _main_options(
    debug: Annotated[bool, typer.Option("--debug", help="When something fails, show where (a traceback).")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
    ] = False,
    settings: Annotated[
        bool,
        typer.Option(
            "--settings",
            callback=_print_settings_and_exit,
            is_eager=True,
            help="Show what --set can change in each profile, and end.",
        ),
    ] = False,
) -> None:
    """Listens to a live sound and says, while it plays, when it changes, what it is, and if it was heard before."""


for _module in (
    demo, listen, serve, analyze, watch, export, split, features, teach, devices, name, names, feedback, evaluate, tune,
):  # fmt: skip
    app.command(_module.__name__.rpartition(".")[2], epilog=_module.EXAMPLES)(_module.command)
app.command("lessons", hidden=True, epilog=feedback.EXAMPLES)(feedback.command)  # its old name
