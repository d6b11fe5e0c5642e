"""Runs commands as forks of one process that has imported and compiled everything: ten times faster than new ones.

with CommandForks() as commands:
    done = commands.run("analyze", "a.wav", "-o", "a.jsonl", cwd=folder)
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 60.0
NOBODY = 65534
# From <linux/prctl.h> and <linux/capability.h>; the capabilities to write and to read whatever the permissions say.
PR_CAPBSET_DROP = 24
LINUX_CAPABILITY_VERSION_3 = 0x20080522
OVERRIDES = (1, 2)


@dataclass(frozen=True)
class Done:
    """The result of a command. returncode: None if the command took too long and was killed."""

    returncode: int | None
    stdout: str
    stderr: str


class CommandForks:
    """Starts the process with the first command, and sends it all commands."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> CommandForks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def run(
        self,
        *arguments: str | Path,
        cwd: Path,
        stdin: Path | str = os.devnull,
        append_to: Path | None = None,
        env: dict[str, str] | None = None,
        nobody: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> Done:
        """Run a command. append_to: a file for standard output, as of `>>`. nobody: without root's rights."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tools.forked_commands"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                cwd=Path(__file__).parents[1],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"},
            )  # fmt: skip
        out, err = Path(self._folder.name, "out"), Path(self._folder.name, "err")
        for file in (out, err):
            file.write_text("")
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "stdin": str(stdin),
            "stdout": str(append_to or out),
            "stderr": str(err),
            "env": env or {},
            "nobody": nobody,
            "patience_s": patience_s,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())
        return Done(code, out.read_text(errors="replace"), err.read_text(errors="replace"))


def _import_everything() -> None:
    import importlib

    import numpy as np

    from streamseg.cli import app  # noqa: F401
    from streamseg.engine import Segmenter

    for name in (
        "live.session", "cli.serving", "cli.screen", "cli.subscription_printer", "outputs.feature_table",
        "outputs.split", "feature_arrays",
        "server", "client", "evaluation.tune", "evaluation.plots",
    ):  # fmt: skip
        importlib.import_module(f"streamseg.{name}")
    engine = Segmenter(sample_rate=8_000, telemetry=True)
    engine.push(0.1 * np.random.default_rng(0).standard_normal((16_000, 1)))
    engine.finish()


def _give_up_rights() -> None:
    """Make file permissions apply to this process and its children, although root runs them.

    On Linux the user stays: the interpreter may lie in root's home, where no other user can start it.
    """
    if sys.platform != "linux":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in OVERRIDES:
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl PR_CAPBSET_DROP")
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves of the three
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for capability in OVERRIDES:
        for which in range(3):
            sets[which] &= ~(1 << capability)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _child(request: dict) -> None:
    """Run one command in this process, and exit."""
    code = 70
    try:
        for number, name, flags in (
            (0, "stdin", os.O_RDONLY),
            (1, "stdout", os.O_WRONLY | os.O_APPEND),
            (2, "stderr", os.O_WRONLY | os.O_APPEND),
        ):
            opened = os.open(request[name], flags)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        os.chdir(request["cwd"])
        os.environ.update(request["env"])
        if request["nobody"]:
            _give_up_rights()
        sys.argv = ["streamseg", *request["arguments"]]
        from streamseg.cli import main

        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = 120  # as Python does it
    finally:
        os._exit(code)


def main() -> None:
    requests, answers = sys.stdin, sys.stdout
    _import_everything()
    for line in iter(requests.readline, ""):
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(request)
        deadline = time.monotonic() + request["patience_s"]
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            time.sleep(0.003)
        code = os.waitstatus_to_exitcode(ended[1]) if ended[0] else None
        answers.write(json.dumps(code) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
