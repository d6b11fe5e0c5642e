"""The command line: one module per command, and the only place where rooms meet.

Results go to standard output, everything about how it is going to standard error. Exit codes: 0 it was done,
1 it failed, 2 it was asked wrongly. Whatever is slow to import is imported by the command that needs it.
"""


def main() -> None:
    """Run the command line."""
    import os
    import signal
    import sys

    # Nothing is begun yet, so Ctrl-C ends at once. An exception might be taken for the fault of what is imported.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from streamseg.cli.standard_streams import finish_standard_streams, prepare_standard_streams

    prepare_standard_streams()
    from streamseg.cli.app import app

    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        app(prog_name="streamseg")
    except KeyboardInterrupt:  # before typer answers it
        sys.exit(130)
    except OSError as error:  # what typer itself prints, such as help
        sys.exit(f"streamseg: cannot write standard output: {error.strerror or error}")
    finally:
        finish_standard_streams()
