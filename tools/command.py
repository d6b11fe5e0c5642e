"""The `streamseg` command as a process, for tests and tools."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE_S = 240  # less than a test has; the first command of a fresh installation compiles


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "streamseg", *map(str, arguments)]


def run(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; never raises for its exit code."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=PATIENCE_S, **options)


class Running:
    """A running command. `stop` sends a signal and returns exit code, output and messages."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.messages = ""

    def wait_for_message(self, pattern: str, patience_s: float = PATIENCE_S) -> re.Match[str]:
        """Read standard error until the pattern occurs in it."""
        assert self.process.stderr is not None
        deadline = time.monotonic() + patience_s
        while not (match := re.search(pattern, self.messages)):
            left = deadline - time.monotonic()
            ready = select.select([self.process.stderr], [], [], max(0, left))[0]
            read = os.read(self.process.stderr.fileno(), 65536).decode() if ready else ""
            assert read, f"no {pattern!r} in: {self.messages}"
            self.messages += read
        return match

    def wait_for_address(self) -> str:
        """Return the address of the WebSocket, once it is open."""
        return self.wait_for_message(r"WebSocket: (ws://\S+)").group(1)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        out, messages = self.process.communicate(timeout=PATIENCE_S)
        self.messages += messages
        return self.process.returncode, out, self.messages


@contextlib.contextmanager
def start(*arguments: str | Path, **options) -> Iterator[Running]:
    """Start the command, and kill it at the end of the block."""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()
