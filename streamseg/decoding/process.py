"""The child: decodes one file and hands its samples on. Started by `streamseg.sources.decoder`, never by hand.

Arguments: the file, the handle of the shared memory, the limits of memory (bytes) and processor time (s).
Standard input brings one byte for each slot that is free again, and ends when the parent does; standard output takes
the lines of `messages`.
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
from streamseg.decoding.limits import ResourceLimits
from streamseg.decoding.messages import COMPLETE, FAILED, NOT_AUDIO, OUT_OF_MEMORY, TRUNCATED, ending_line

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

_RENEWAL_BYTES = 1 << 20  # getting on in the file counts as progress too
_STACK_BYTES = 256 << 10  # of the threads here, which do little


def main() -> None:
    """Decode what the arguments say, and end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches everybody; the parent decides
    path, handle, memory_bytes, cpu_s = sys.argv[-4:]
    sender = _BlockSender(handle)
    try:
        allowance = ResourceLimits(int(memory_bytes), int(cpu_s), lambda kind: sender.write(ending_line(kind)))
        kind, text = _decode_packets(Path(path), sender, allowance)
    except MemoryError:
        kind, text = OUT_OF_MEMORY, ""
    except BrokenPipeError:  # the parent has gone
        os._exit(1)
    except Exception as error:  # a fault here is one stream's error as well, and must be heard of
        kind, text = FAILED, f"cannot be decoded: {type(error).__name__}: {error}"
    sender.write(ending_line(kind, text))
    os._exit(0)  # nothing of FFmpeg's is worth the time of freeing it


class _BlockSender:
    """Writes blocks into free slots and says so."""

    def __init__(self, handle: str) -> None:
        self._lines = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever prints does not get between the lines
        self._slots = slots.open_inherited_slots(handle)
        self._free_slots = threading.Semaphore(slots.SLOT_COUNT)
        self._blocks_sent = 0
        threading.stack_size(_STACK_BYTES)
        threading.Thread(target=self._read_parent_commands, name="parent", daemon=True).start()

    def write(self, line: bytes) -> None:
        os.write(self._lines, line)

    def send(self, samples: memoryview, frame_bytes: int) -> None:
        """Hand on interleaved samples of which those of one moment take frame_bytes. Waits for free slots."""
        most = slots.SLOT_BYTES // frame_bytes * frame_bytes
        for start in range(0, len(samples), most):
            piece = samples[start : start + most]
            self._free_slots.acquire()
            self._slots.slot(self._blocks_sent)[: len(piece)] = piece
            self._blocks_sent += 1
            self.write(b"block %d\n" % (len(piece) // frame_bytes))

    def _read_parent_commands(self) -> None:
        while freed := os.read(0, slots.SLOT_COUNT):
            self._free_slots.release(len(freed))
        os._exit(1)  # the parent has gone, whatever the decoder is doing or waiting for


def _read_packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """All packets of a stream, the last one empty. Raises FFmpegError."""
    from av.packet import Packet

    try:
        yield from container.demux(stream)
    except IndexError:
        # PyAV counts the streams at the beginning; where a transport stream gains some it stumbles at the end
        last = Packet()
        last.stream = stream
        yield cast("Packet[AudioStream]", last)


def _decode_packets(path: Path, sender: _BlockSender, limits: ResourceLimits) -> tuple[str, str]:
    """Send all samples of a file. How it ended: the kind and the predicate. Raises MemoryError, BrokenPipeError."""
    from av.error import FFmpegError  # imported under the limits

    from streamseg.decoding.container import UnreadableFileError, is_regular_file, open_container
    from streamseg.decoding.converter import SAMPLE_BYTES, SampleConverter, UnsupportedFormatError
    from streamseg.decoding.truncation import DecodeResult, find_truncation

    try:
        container = open_container(path)
    except UnreadableFileError as unreadable:
        return unreadable.ending, unreadable.text
    if not container.streams.audio:
        return NOT_AUDIO, f"holds no sound ({container.format.long_name})"
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        return NOT_AUDIO, f"holds sound of a kind that FFmpeg cannot decode ({container.format.long_name})"
    converter = SampleConverter()
    decoded = DecodeResult()

    def send(parts: Iterator[memoryview]) -> None:
        for samples in parts:
            frame_bytes = SAMPLE_BYTES * converter.channels
            if not decoded.duration_s:
                sender.write(b"format %d %d\n" % (converter.sample_rate, converter.channels))
            decoded.duration_s += len(samples) // frame_bytes / converter.sample_rate
            sender.send(samples, frame_bytes)
            limits.renew()

    furthest = 0
    try:
        for packet in _read_packets(container, stream):
            if packet.size:  # the last one only empties the decoder
                decoded.last_packet, decoded.last_packet_failed = packet, False
            if packet.pos is not None and packet.pos >= furthest + _RENEWAL_BYTES:
                furthest = packet.pos
                limits.renew()
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except FFmpegError:  # as every player: skip what is broken, go on with the next
                decoded.last_packet_failed = True
                continue
            for frame in frames:
                send(converter.push(frame))
        send(converter.finish())
    except MemoryError:
        raise
    except FFmpegError as error:
        return FAILED, f"cannot be read further: {error.strerror}"
    except UnsupportedFormatError as impossible:
        return FAILED, str(impossible)
    if not decoded.duration_s:
        return NOT_AUDIO, f"holds no sound: nothing in it could be decoded ({container.format.long_name})"
    if is_regular_file(path) and (why := find_truncation(path, container, stream, decoded)):
        return TRUNCATED, f"is cut off: {why}; all that could be read was analysed"
    return COMPLETE, ""
