"""A file decoded in a child process, as its parent sees it (`streamseg.decoding` is the child).

A decoder that has crashed is not started again: the input that crashed it would do so at the same place, a decoder that
skips ahead would give sound whose place in the file nobody can tell, and no cause of `stream.gap` says "damaged". What
came before stands, and the stream ends with the reason.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np

from streamseg.blocks import Block, SourceAway, SourceItem
from streamseg.decoding import messages, slots
from streamseg.errors import NotAudioError, SourceError, TruncatedSourceError

MEMORY_BYTES: Final = 512 << 20  # the index of 80 hours of AAC takes 300 MB; ordinary files take 5
CPU_WITHOUT_SOUND_S: Final = 20
_PACKAGE_PARENT = str(Path(__file__).parents[2])
_START_COMMAND = "import sys; sys.path[:0] = sys.argv[1:3]; from streamseg.decoding.process import main; main()"
_CHECK_INTERVAL_S = 0.2
_STANDARD_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
_MAX_LINKS = 40  # as Linux follows
_EXIT_TIMEOUT_S = 2.0  # with a process that was killed, and may hang in the system's own input and output
# glibc's: it would give back the memory of every second of sound and fetch it again, a third of the time for MP3
_MALLOC_ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": str(16 << 20), "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}


class DecoderProcess:
    """One child process that decodes one file from its beginning. Begins at once, and reads ahead by four blocks."""

    def __init__(
        self, path: Path, name: str, *, memory_bytes: int = MEMORY_BYTES, cpu_s: int = CPU_WITHOUT_SOUND_S
    ) -> None:
        """name: of the file, in messages. memory_bytes, cpu_s: the child's limits. Raises SourceFailed."""
        self.name = name
        self._limits = memory_bytes, cpu_s
        self._closed = threading.Event()
        self._sample_rate = self._channels = 0
        self._samples_given = 0  # per channel
        try:
            self._slots, handle = slots.create_slots()
            try:
                self._process = _start_process(path, handle, self._limits)
            except BaseException:
                self._slots.close()
                raise
            finally:
                if sys.platform != "win32":
                    os.close(int(handle))
        except OSError as error:
            raise SourceError(f"{name}: no process to decode it can be started: {error.strerror or error}") from None
        self._freed_slots = cast("IO[bytes]", self._process.stdin)
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # A thread of its own reads: on Windows a read cannot be interrupted, and so not by Ctrl-C either.
        threading.Thread(
            target=_read_lines, args=(self._process.stdout, self._lines), name=f"decode {name}", daemon=True
        ).start()

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._process.pid

    def close(self) -> None:
        """End the child at once, from any thread or signal handler; the iteration ends cleanly."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._process.kill()

    def release(self) -> None:
        """End the child and give everything back. Nobody may be iterating."""
        self.close()
        with contextlib.suppress(OSError):
            self._freed_slots.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_TIMEOUT_S)
        self._slots.close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Blocks of about a second, to be iterated once.

        Raises NotAudio, SourceFailed, SourceTruncated; a crash is said as `SourceAway` before that.
        """
        number = 0
        while (line := self._next_line()) is not None:
            match line.split(maxsplit=2):
                case [b"format", rate, channels]:
                    self._sample_rate, self._channels = int(rate), int(channels)
                case [b"block", frames]:
                    yield self._take_block(number, int(frames))
                    number += 1
                case [b"end", kind, *text]:
                    yield from self._end_error(kind.decode(), b"".join(text).decode("utf-8", "replace").strip())
                    return
                case _:
                    yield from self._crash_error()
                    return

    def _next_line(self) -> bytes | None:
        """What the child says next, b"" when it has gone; None when this was closed."""
        while not self._closed.is_set():
            try:
                line = self._lines.get(timeout=_CHECK_INTERVAL_S)
            except queue.Empty:
                continue
            return None if self._closed.is_set() else line
        return None

    def _take_block(self, number: int, frames: int) -> Block:
        count = frames * self._channels
        samples = np.frombuffer(self._slots.slot(number), np.float32, count).reshape(frames, self._channels).copy()
        with contextlib.suppress(OSError):  # it may have ended by now
            self._freed_slots.write(b"\0")
        self._samples_given += frames
        return Block(samples, self._sample_rate)

    def _end_error(self, kind: str, text: str) -> Iterator[SourceItem]:
        if kind == messages.COMPLETE:
            return
        if kind == messages.OUT_OF_MEMORY:
            yield from self._stop_process(f"needs more than {self._limits[0] >> 20} MiB of memory to be decoded")
        elif kind == messages.SPINNING:
            yield from self._stop_process(self._no_progress_error())
        elif kind == messages.TRUNCATED:
            raise TruncatedSourceError(f"{self.name} {text}")
        elif kind == messages.NOT_AUDIO:
            raise NotAudioError(f"{self.name} {text}")
        else:
            raise SourceError(f"{self.name} {text}")

    def _crash_error(self) -> Iterator[SourceItem]:
        """It ended without a word."""
        try:
            code = self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = 0
        if sys.platform != "win32" and code == -signal.SIGXCPU:
            yield from self._stop_process(self._no_progress_error())
            return
        yield from self._stop_process(f"crashed its decoder ({_describe_exit(code)})")

    def _no_progress_error(self) -> str:
        return f"kept its decoder busy for {self._limits[1]} s without giving any sound"

    def _stop_process(self, what: str) -> Iterator[SourceItem]:
        """The decoder's failure, to listeners and then to whoever iterates."""
        yield SourceAway(f"the source {what}")
        if not self._samples_given:
            raise SourceError(f"{self.name} {what}; nothing of it was heard")
        heard_s = self._samples_given / self._sample_rate
        raise SourceError(f"{self.name} {what} at {heard_s:.1f} s; everything before was analysed")


def _start_process(path: Path, handle: str, limits: tuple[int, int]) -> subprocess.Popen[bytes]:
    """The child. It sees `av`, the standard library and this package, whatever else is installed."""
    found = importlib.util.find_spec("av")
    if found is None or found.origin is None:
        raise OSError("the package `av` is not installed")
    opened, inherited = _inherited_path(path)
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NO_WINDOW  # so Ctrl-C does not reach it
    else:
        options["pass_fds"] = (int(handle), *inherited)
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _START_COMMAND,
        _PACKAGE_PARENT,
        str(Path(found.origin).parents[1]),
        opened,
        handle,
    ]
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [*command, *map(str, limits)],
            bufsize=0,
            env=_MALLOC_ENVIRONMENT | os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the C library's last words of a crash
            **options,
        )
    finally:
        for descriptor in inherited:
            os.close(descriptor)


def _inherited_path(path: Path) -> tuple[str, tuple[int, ...]]:
    """The path by which the child opens the file, and descriptors for it to inherit, copies to be closed.

    `/dev/stdin` and `/dev/fd/63` (a shell's `<(…)`), and links to them, mean the descriptors of this process, which a
    child has not got.
    """
    named = None if sys.platform == "win32" else _named_descriptor(str(path))
    if named is None:
        return str(path), ()
    descriptor = os.dup(named)
    return f"/dev/fd/{descriptor}", (descriptor,)


def _named_descriptor(path: str) -> int | None:
    """The descriptor of this process that a path stands for, itself or through links; None for any other path."""
    for _ in range(_MAX_LINKS):
        if path in _STANDARD_STREAMS:
            return _STANDARD_STREAMS.index(path)
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)  # on Linux that of /dev/fd and /proc/self/fd has our process number
        if name.isdecimal() and re.fullmatch(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd", folder):
            return int(name)
        try:
            path = str(Path(folder, Path(folder, name).readlink()))
        except OSError:  # no link
            return None
    return None


def _read_lines(pipe: Any, lines: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError), open(pipe.fileno(), "rb", closefd=False) as buffered:
        while line := buffered.readline(messages.MAX_LINE_BYTES):
            lines.put(line)
    lines.put(b"")
    pipe.close()


def _describe_exit(code: int) -> str:
    """What a process died of, by its exit code."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code:#x}" if code > 255 else f"exit code {code}"
