"""Writes a WAV file of float32 samples that is valid after every block.

No library is used, because a full disk must lose only the samples that do not fit: a block is written entirely or not
at all, and the sizes in the header are updated after each block. Beyond 4 GB the file becomes RF64 (EBU Tech 3306); the
header has space for the large sizes from the start.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Final

import numpy as np

from streamseg.atomic_files import append_all_or_nothing
from streamseg.blocks import Samples

_MAX_FILE_BYTES: Final = 0xFFFF_FFFF
_MAX_RIFF_BYTES = _MAX_FILE_BYTES
_EXTENSIBLE: Final = 0xFFFE
_FLOAT_SUBFORMAT: Final = bytes.fromhex("0300000000001000800000aa00389b71")
_SPEAKERS: Final = {1: 4, 2: 3}  # front centre; front left and right; unknown for other channel counts
_HEADER_BYTES: Final = 12 + 36 + 48 + 12 + 8


class WavWriter:
    """Writes float32 samples to an open file as WAV; the file is valid after each `append`."""

    def __init__(self, file: io.FileIO, sample_rate: int, channels: int) -> None:
        """Write the header. file: empty and unbuffered; the caller closes it. sample_rate: Hz.

        Raises OSError; then the file is still empty.
        """
        self._file = file
        self._sample_rate, self._channels = sample_rate, channels
        self.frames = 0
        append_all_or_nothing(file, self._format_header())

    def append(self, samples: Samples) -> None:
        """Append samples, float32, shape (n, channels). Raises OSError; then the file is as it was before."""
        append_all_or_nothing(self._file, np.ascontiguousarray(samples, "<f4").tobytes())
        self.frames += len(samples)
        self._update_header()

    def _update_header(self) -> None:
        """Update the sizes in the header. If that fails (a full disk may have no room), the next update repairs it."""
        end = self._file.tell()
        with suppress(OSError):
            self._file.seek(0)
            self._file.write(self._format_header())
        self._file.seek(end)

    def _format_header(self) -> bytes:
        data_bytes = self.frames * self._channels * 4
        riff_bytes = _HEADER_BYTES - 8 + data_bytes
        large = riff_bytes > _MAX_RIFF_BYTES
        sizes = struct.pack("<QQQI", riff_bytes, data_bytes, self.frames, 0) if large else bytes(28)
        frame_bytes = self._channels * 4
        format_chunk = struct.pack(
            "<HHIIHHHHI",
            _EXTENSIBLE,
            self._channels,
            self._sample_rate,
            min(_MAX_FILE_BYTES, self._sample_rate * frame_bytes),
            frame_bytes,
            32,
            22,
            32,
            _SPEAKERS.get(self._channels, 0),
        )
        return b"".join(
            (
                b"RF64" if large else b"RIFF",
                struct.pack("<I", _MAX_FILE_BYTES if large else riff_bytes),
                b"WAVE",
                b"ds64" if large else b"JUNK",
                struct.pack("<I", 28),
                sizes,
                b"fmt ",
                struct.pack("<I", 40),
                format_chunk,
                _FLOAT_SUBFORMAT,
                b"fact",
                struct.pack("<II", 4, min(_MAX_FILE_BYTES, self.frames)),
                b"data",
                struct.pack("<I", _MAX_FILE_BYTES if large else data_bytes),
            )
        )
