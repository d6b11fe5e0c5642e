"""Shared memory for samples: a few slots that the child fills in turn and the parent empties in turn.

The memory is reserved, not used: a page costs something only once it was written to, and a block of a second of stereo
touches a sixth of its slot.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Final

SLOT_COUNT: Final = 4  # read ahead by so many blocks
SLOT_BYTES: Final = 2 << 20  # 5 s of stereo at 48 kHz; a longer block goes in pieces
_TOTAL_BYTES: Final = SLOT_COUNT * SLOT_BYTES


class SharedSlots:
    """The memory, as one of the two processes sees it."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._view = memoryview(memory)

    def slot(self, number: int) -> memoryview:
        """The bytes of the slot used for the number-th block, counted from 0."""
        start = number % SLOT_COUNT * SLOT_BYTES
        return self._view[start : start + SLOT_BYTES]

    def close(self) -> None:
        """Give the memory back. Nothing may use a slot any more."""
        self._view.release()
        self._memory.close()


def create_slots() -> tuple[SharedSlots, str]:
    """New memory, and the handle by which a child process opens it: a descriptor to be inherited, or a name.

    Raises OSError.
    """
    if sys.platform == "win32":
        name = f"streamseg-{os.getpid()}-{os.urandom(8).hex()}"
        return SharedSlots(mmap.mmap(-1, _TOTAL_BYTES, tagname=name)), name
    descriptor = _new_descriptor()
    try:
        return SharedSlots(mmap.mmap(descriptor, _TOTAL_BYTES)), str(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def open_inherited_slots(handle: str) -> SharedSlots:
    """The memory that the parent created. Raises OSError."""
    if sys.platform == "win32":
        return SharedSlots(mmap.mmap(-1, _TOTAL_BYTES, tagname=handle))
    descriptor = int(handle)
    try:
        return SharedSlots(mmap.mmap(descriptor, _TOTAL_BYTES))
    finally:
        os.close(descriptor)


def _new_descriptor() -> int:
    """A file of the right size without a name."""
    if sys.platform == "linux":
        import fcntl

        descriptor = os.memfd_create("streamseg-samples", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, _TOTAL_BYTES)
        # a child that shrank it would end the parent at its next look (SIGBUS)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return descriptor
    import tempfile

    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), _TOTAL_BYTES)
        return os.dup(file.fileno())
