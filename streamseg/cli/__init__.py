"""The command line: one module for each command in `commands/`.

Results go to standard output, progress and warnings to standard error. Exit codes: 0 done, 1 failed, 2 usage error.
A module that is slow to import is imported inside the command that needs it.
"""


def main() -> None:
    """Run the command that `sys.argv` names, then end the process with the exit code of that command."""
    import os
    import signal
    import sys

    # During the imports Ctrl-C ends at once: an exception could be mistaken for an error of an imported module.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from streamseg.cli.standard_streams import flush_standard_output_ignoring_errors, open_closed_streams_and_set_utf8

    open_closed_streams_and_set_utf8()
    from streamseg.cli.app import app

    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        app(prog_name="streamseg")
    except KeyboardInterrupt:  # raised before typer handles it
        sys.exit(130)
    except OSError as error:  # from what typer itself prints, such as help
        sys.exit(f"streamseg: cannot write standard output: {error.strerror or error}")
    finally:
        flush_standard_output_ignoring_errors()
