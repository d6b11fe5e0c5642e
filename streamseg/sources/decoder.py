"""Starts a child process that decodes a sound file, and reads the samples from it (`streamseg.decoding` is its code).

A crashed decoder is not started again: the same input would crash it at the same place; after skipping a part, the
position of the next sample in the file would be unknown; and `stream.gap` has no cause "damaged". What was decoded
before the crash is kept, and the stream ends with the reason.
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

from streamseg.blocks import Block, SourceAvailabilityChange, SourceItem
from streamseg.decoding import messages, slots
from streamseg.errors import NotAudioError, SourceError, TruncatedSourceError

MEMORY_BYTES: Final = 512 << 20  # the index of 80 hours of AAC takes 300 MB; an ordinary file takes 5 MB
CPU_WITHOUT_SOUND_S: Final = 20
_PACKAGE_PARENT = str(Path(__file__).parents[2])
_START_COMMAND = "import sys; sys.path[:0] = sys.argv[1:3]; from streamseg.decoding.child_process import main; main()"
_CHECK_INTERVAL_S = 0.2
_STANDARD_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
_MAX_LINKS = 40  # the limit of Linux
_EXIT_TIMEOUT_S = 2.0  # a killed process may hang in input or output of the system
# For glibc, which would free and allocate the memory of every second of sound: a third of the time for MP3
_MALLOC_ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": str(16 << 20), "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}


class DecoderProcess:
    """A child process that decodes one file; iterate it once to get the samples. It decodes up to four blocks ahead."""

    def __init__(
        self, path: Path, name: str, *, memory_bytes: int = MEMORY_BYTES, cpu_s: int = CPU_WITHOUT_SOUND_S
    ) -> None:
        """Start the child process.

        name: of the file, for messages. memory_bytes: the memory that the child may use. cpu_s: the processor time in
        seconds that the child may use without decoding a sample. Raises SourceError.
        """
        self.name = name
        self._limits = memory_bytes, cpu_s
        self._close_event = threading.Event()
        self._sample_rate = self._channels = 0
        self._sample_count = 0  # per channel, decoded so far
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
        self._free_slots = cast("IO[bytes]", self._process.stdin)
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # A thread reads the lines: on Windows nothing can interrupt a read, not even Ctrl-C
        threading.Thread(
            target=_read_lines, args=(self._process.stdout, self._lines), name=f"decode {name}", daemon=True
        ).start()

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._process.pid

    def close(self) -> None:
        """Kill the child and end the iteration, without an error. May be called from any thread or signal handler."""
        self._close_event.set()
        with contextlib.suppress(OSError):
            self._process.kill()

    def kill_and_free_resources(self) -> None:
        """Kill the child, wait for it, and free pipes and shared memory. Call it only after the iteration has ended."""
        self.close()
        with contextlib.suppress(OSError):
            self._free_slots.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_TIMEOUT_S)
        self._slots.close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the samples of the file in blocks of about a second. Only one iteration is possible.

        Raises NotAudioError, SourceError, TruncatedSourceError. If the child crashes or exceeds a limit, a
        `SourceAvailabilityChange` is yielded before SourceError is raised.
        """
        number = 0
        while (line := self._read_line()) is not None:
            match line.split(maxsplit=2):
                case [b"format", rate, channels]:
                    self._sample_rate, self._channels = int(rate), int(channels)
                case [b"block", frames]:
                    yield self._read_block(number, int(frames))
                    number += 1
                case [b"end", ending, *text]:
                    yield from self._report_ending(ending.decode(), b"".join(text).decode("utf-8", "replace").strip())
                    return
                case _:
                    yield from self._report_crash()
                    return

    def _read_line(self) -> bytes | None:
        """Return the child's next line, b"" after it has ended; None after `close`."""
        while not self._close_event.is_set():
            try:
                line = self._lines.get(timeout=_CHECK_INTERVAL_S)
            except queue.Empty:
                continue
            return None if self._close_event.is_set() else line
        return None

    def _read_block(self, number: int, frames: int) -> Block:
        count = frames * self._channels
        samples = np.frombuffer(self._slots.get_slot(number), np.float32, count).reshape(frames, self._channels).copy()
        with contextlib.suppress(OSError):  # the child may have ended
            self._free_slots.write(b"\0")
        self._sample_count += frames
        return Block(samples, self._sample_rate)

    def _report_ending(self, ending: str, text: str) -> Iterator[SourceItem]:
        if ending == messages.COMPLETE:
            return
        if ending == messages.OUT_OF_MEMORY:
            yield from self._report_failure(f"needs more than {self._limits[0] >> 20} MiB of memory to be decoded")
        elif ending == messages.SPINNING:
            yield from self._report_spinning()
        elif ending == messages.TRUNCATION:
            raise TruncatedSourceError(f"{self.name} {text}")
        elif ending == messages.NOT_AUDIO:
            raise NotAudioError(f"{self.name} {text}")
        else:
            raise SourceError(f"{self.name} {text}")

    def _report_crash(self) -> Iterator[SourceItem]:
        """Report a child that ended without the line `end`."""
        try:
            code = self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = 0
        if sys.platform != "win32" and code == -signal.SIGXCPU:
            yield from self._report_spinning()
            return
        yield from self._report_failure(f"crashed its decoder ({_describe_exit(code)})")

    def _report_spinning(self) -> Iterator[SourceItem]:
        yield from self._report_failure(f"kept its decoder busy for {self._limits[1]} s without giving any sound")

    def _report_failure(self, predicate: str) -> Iterator[SourceItem]:
        """Yield the failure as an absence of the source, then raise it. predicate: a sentence without its subject."""
        yield SourceAvailabilityChange(f"the source {predicate}")
        if not self._sample_count:
            raise SourceError(f"{self.name} {predicate}; nothing of it was heard")
        decoded_s = self._sample_count / self._sample_rate
        raise SourceError(f"{self.name} {predicate} at {decoded_s:.1f} s; everything before was analysed")


def _start_process(path: Path, handle: str, limits: tuple[int, int]) -> subprocess.Popen[bytes]:
    """Start the child, with access to `av`, the standard library and this package, and to no other package."""
    av_spec = importlib.util.find_spec("av")
    if av_spec is None or av_spec.origin is None:
        raise OSError("the package `av` is not installed")
    child_path, descriptors = _duplicate_descriptor(path)
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NO_WINDOW  # so that Ctrl-C does not reach it
    else:
        options["pass_fds"] = (int(handle), *descriptors)
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _START_COMMAND,
        _PACKAGE_PARENT,
        str(Path(av_spec.origin).parents[1]),
        child_path,
        handle,
    ]
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter
            [*command, *map(str, limits)],
            bufsize=0,
            env=_MALLOC_ENVIRONMENT | os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where the C library writes when it aborts
            **options,
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _duplicate_descriptor(path: Path) -> tuple[str, tuple[int, ...]]:
    """Return the path by which the child opens the file, and the descriptors that it must inherit (to be closed here).

    `/dev/stdin`, `/dev/fd/63` (a shell's `<(…)`) and links to them name descriptors of this process, which the child
    does not have; it gets a duplicate. Any other path is returned as it is.
    """
    source = None if sys.platform == "win32" else _find_descriptor(str(path))
    if source is None:
        return str(path), ()
    descriptor = os.dup(source)
    return f"/dev/fd/{descriptor}", (descriptor,)


def _find_descriptor(path: str) -> int | None:
    """Return the descriptor of this process that a path names, directly or through links; None for other paths."""
    for _ in range(_MAX_LINKS):
        if path in _STANDARD_STREAMS:
            return _STANDARD_STREAMS.index(path)
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)  # on Linux /dev/fd and /proc/self/fd become /proc/PID/fd
        if name.isdecimal() and re.fullmatch(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd", folder):
            return int(name)
        try:
            path = str(Path(folder, Path(folder, name).readlink()))
        except OSError:  # not a link
            return None
    return None


def _read_lines(pipe: Any, lines: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError), open(pipe.fileno(), "rb", closefd=False) as file:
        while line := file.readline(messages.MAX_LINE_BYTES):
            lines.put(line)
    lines.put(b"")
    pipe.close()


def _describe_exit(code: int) -> str:
    """Describe the exit code of a process; negative: the number of a signal."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code:#x}" if code > 255 else f"exit code {code}"
