"""The main program of the child process that decodes one file; `streamseg.sources.decoder` starts it, never a user.

Arguments: the file, the handle of the shared memory, the limits of memory (bytes) and processor time (s).
Standard input: one byte for each slot that is free again; it ends when the parent ends. Standard output: the lines of
`messages`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from streamseg.decoding import slots
from streamseg.decoding.limits import ResourceLimiter
from streamseg.decoding.messages import COMPLETE, FAILURE, NOT_AUDIO, OUT_OF_MEMORY, TRUNCATION, format_ending

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

    from streamseg.decoding.converter import SampleConverter
    from streamseg.decoding.truncation import DecodingState

_RENEWAL_BYTES = 1 << 20  # this many bytes further in the file count as progress too
_STACK_BYTES = 256 << 10  # stack of the threads in this process, which need little


def main() -> None:
    """Decode the file named on the command line, send its samples to the parent process, and end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches every process; the parent decides
    path, handle, memory_bytes, cpu_s = sys.argv[-4:]
    sender = _BlockSender(handle)
    try:
        limits = ResourceLimiter(int(memory_bytes), int(cpu_s), lambda ending: sender.write_line(format_ending(ending)))
        ending, text = _decode_file(Path(path), sender, limits)
    except MemoryError:
        ending, text = OUT_OF_MEMORY, ""
    except BrokenPipeError:  # the parent has ended
        os._exit(1)
    except Exception as error:  # a bug here must be reported too, as an error of this stream
        ending, text = FAILURE, f"cannot be decoded: {type(error).__name__}: {error}"
    sender.write_line(format_ending(ending, text))
    os._exit(0)  # at once: freeing FFmpeg's memory takes time


class _BlockSender:
    """Writes blocks into free slots, and a line for each to the parent."""

    def __init__(self, handle: str) -> None:
        self._lines = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that no library prints between the lines
        self._slots = slots.open_inherited_slots(handle)
        self._free_slots = threading.Semaphore(slots.SLOT_COUNT)
        self._blocks_sent = 0
        threading.stack_size(_STACK_BYTES)
        threading.Thread(target=self._count_free_slots, name="parent", daemon=True).start()

    def write_line(self, line: bytes) -> None:
        os.write(self._lines, line)

    def send_samples(self, samples: memoryview, frame_bytes: int) -> None:
        """Send interleaved samples; waits for free slots. frame_bytes: size of one sample of every channel."""
        block_bytes = slots.SLOT_BYTES // frame_bytes * frame_bytes
        for start in range(0, len(samples), block_bytes):
            block = samples[start : start + block_bytes]
            self._free_slots.acquire()
            self._slots.get_slot(self._blocks_sent)[: len(block)] = block
            self._blocks_sent += 1
            self.write_line(b"block %d\n" % (len(block) // frame_bytes))

    def _count_free_slots(self) -> None:
        while slot_bytes := os.read(0, slots.SLOT_COUNT):
            self._free_slots.release(len(slot_bytes))
        os._exit(1)  # the parent has ended: so must this process, in the middle of whatever it does


def _read_packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Yield all packets of a stream; the last one is empty. Raises FFmpegError."""
    from av.packet import Packet

    try:
        yield from container.demux(stream)
    except IndexError:
        # PyAV counts the streams at the start; if a transport stream gains some, it raises this at the end
        last_packet = Packet()
        last_packet.stream = stream
        yield cast("Packet[AudioStream]", last_packet)


def _decode_packets(
    container: InputContainer,
    stream: AudioStream,
    converter: SampleConverter,
    state: DecodingState,
    limits: ResourceLimiter,
) -> Iterator[memoryview]:
    """Yield all samples of a stream, converted. Raises FFmpegError, UnsupportedFormatError, MemoryError."""
    from av.error import FFmpegError

    position = 0
    for packet in _read_packets(container, stream):
        if packet.size:  # the last one is empty
            state.last_packet, state.last_packet_failed = packet, False
        if packet.pos is not None and packet.pos >= position + _RENEWAL_BYTES:
            position = packet.pos
            limits.renew_cpu_limit()
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except FFmpegError:  # skip the damaged packet, as every player does
            state.last_packet_failed = True
            continue
        for frame in frames:
            yield from converter.add_frame(frame)
    yield from converter.flush()


def _decode_file(path: Path, sender: _BlockSender, limits: ResourceLimiter) -> tuple[str, str]:
    """Send all samples of a file; returns the ending and its text, as `format_ending` takes them.

    Raises MemoryError, BrokenPipeError.
    """
    from av.error import FFmpegError  # imported when the limits are in force

    from streamseg.decoding.container import UnreadableFileError, is_regular_file, open_container
    from streamseg.decoding.converter import SAMPLE_BYTES, SampleConverter, UnsupportedFormatError
    from streamseg.decoding.truncation import DecodingState, find_truncation

    try:
        container = open_container(path)
    except UnreadableFileError as error:
        return error.ending, error.text
    if not container.streams.audio:
        return NOT_AUDIO, f"holds no sound ({container.format.long_name})"
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        return NOT_AUDIO, f"holds sound of a kind that FFmpeg cannot decode ({container.format.long_name})"
    converter = SampleConverter()
    state = DecodingState()
    try:
        for samples in _decode_packets(container, stream, converter, state, limits):
            frame_bytes = SAMPLE_BYTES * converter.channels
            if not state.duration_s:
                sender.write_line(b"format %d %d\n" % (converter.sample_rate, converter.channels))
            state.duration_s += len(samples) // frame_bytes / converter.sample_rate
            sender.send_samples(samples, frame_bytes)
            limits.renew_cpu_limit()
    except MemoryError:
        raise
    except FFmpegError as error:
        return FAILURE, f"cannot be read further: {error.strerror}"
    except UnsupportedFormatError as error:
        return FAILURE, str(error)
    if not state.duration_s:
        return NOT_AUDIO, f"holds no sound: nothing in it could be decoded ({container.format.long_name})"
    if is_regular_file(path) and (reason := find_truncation(path, container, stream, state)):
        return TRUNCATION, f"is cut off: {reason}; all that could be read was analysed"
    return COMPLETE, ""
