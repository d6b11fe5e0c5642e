"""The command line: one module per command, and the only place where rooms meet."""


def main() -> None:
    """Run the command line."""
    raise SystemExit("not built yet")
