"""Detects truncated sound files: those that are shorter than they declare.

Each format needs its own test, and a false alarm on an intact file is worse than a missed truncation. So a length that
FFmpeg only estimated from the bit rate is ignored, as are a few frames of encoder delay, and the placeholders (0, or
the largest number) that programs write into a header which they cannot update later.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

_TOLERANCE_S = 0.5  # encoder delay, padding, edit lists
_TOLERANCE_BYTES = 4096
_WITHOUT_DURATION = 0x7FFF_0000  # RIFF sizes from this value on are placeholders of programs that write to a pipe
_DECLARES_DURATION = ("flac", "aiff", "au", "asf", "mov,mp4,m4a,3gp,3g2,mj2")


@dataclass(slots=True)
class DecodingState:
    """How many seconds of a file have been decoded so far, the newest packet, and whether that packet could be decoded.

    duration_s: seconds decoded so far. last_packet: the newest packet, None before the first one. last_packet_failed:
    whether that packet could not be decoded.
    """

    duration_s: float = 0.0
    last_packet: Packet[AudioStream] | None = None
    last_packet_failed: bool = False


def find_truncation(path: Path, container: InputContainer, stream: AudioStream, state: DecodingState) -> str | None:
    """Return why a decoded file seems truncated, such as "its last frame is cut off"; None if it seems complete."""
    kind = container.format.name
    declared_s = _read_declared_duration(path, container, stream)
    if declared_s is not None:
        if state.duration_s < declared_s - max(_TOLERANCE_S, 0.002 * declared_s):
            return f"it promises {declared_s:.1f} s and {state.duration_s:.1f} s could be read"
        return None
    if kind in ("wav", "w64") and _is_riff_truncated(path):
        return "its header promises more bytes than there are"
    if kind == "ogg" and _is_ogg_truncated(path):
        return "its last page is cut off, or not marked as the last"
    if (
        kind == "mp3"
        and state.last_packet
        and _compute_mp3_frame_bytes(bytes(state.last_packet)) > state.last_packet.size
    ):
        return "its last frame is cut off"
    if state.last_packet_failed and kind != "mp3":
        return "its last packet cannot be decoded"
    return None


def _read_declared_duration(path: Path, container: InputContainer, stream: AudioStream) -> float | None:
    """Return the duration in seconds that the file declares; None where it declares none that can be relied on."""
    kind = container.format.name
    if kind == "caf" and stream.frames and stream.codec_context.name.startswith("pcm_"):
        return stream.frames / stream.codec_context.sample_rate
    if kind == "matroska,webm" and len(container.streams) == 1 and container.duration:
        return container.duration / 1e6
    if not stream.duration or not stream.time_base:
        return None
    if kind in _DECLARES_DURATION or (kind == "mp3" and _has_mp3_frame_count(path)):
        return float(stream.duration * stream.time_base)
    return None


def _is_riff_truncated(path: Path) -> bool:
    """Compare the size in the header with that of the file.

    RIFF has it after the first four letters, RF64 in the chunk `ds64`, Sony's w64 after its 16-byte name.
    """
    with path.open("rb") as file:
        head = file.read(32)
    if head[:4] == b"RIFF":
        declared_bytes = int.from_bytes(head[4:8], "little") + 8
        if declared_bytes >= _WITHOUT_DURATION:
            return False
    elif head[:4] == b"RF64":
        declared_bytes = int.from_bytes(head[20:28], "little") + 8
    elif head[:4] == b"riff":
        declared_bytes = int.from_bytes(head[16:24], "little")
    else:
        return False
    return declared_bytes < 1 << 62 and declared_bytes > path.stat().st_size + _TOLERANCE_BYTES


def _is_ogg_truncated(path: Path) -> bool:
    """Check the last page: each page has its length, and the last one a flag (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 1 << 17), 2)  # a page is at most 65,307 bytes
        tail = file.read()
    page = tail.rfind(b"OggS\0")
    if page < 0 or page + 27 > len(tail):
        return True
    segments = tail[page + 27 : page + 27 + tail[page + 26]]
    end = page + 27 + tail[page + 26] + sum(segments)
    is_last_page = bool(tail[page + 5] & 4)
    return end > len(tail) or not is_last_page


def _has_mp3_frame_count(path: Path) -> bool:
    """Whether the first frame is a Xing, Info or VBRI header; without one the duration is only an estimate."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":  # the length of the tag is in four bytes of seven bits
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0))))
        else:
            file.seek(0)
        first_frame = file.read(256)
    return any(name in first_frame for name in (b"Xing", b"Info", b"VBRI"))


_MP3_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_RATES_HZ = (44_100, 48_000, 32_000)


def _compute_mp3_frame_bytes(header: bytes) -> int:
    """Compute the length of an MPEG layer III frame from its header (ISO 11172-3, 2.4.2.3; 13818-3); 0 if invalid."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version = header[1] >> 3 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bit_rate == 15 or rate == 3:
        return 0
    kbps = (_MP3_KBPS_1 if version == 3 else _MP3_KBPS_2)[bit_rate]
    sample_rate = _MP3_RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    samples_by_8 = 144 if version == 3 else 72
    return samples_by_8 * kbps * 1000 // sample_rate + (header[2] >> 1 & 1)
