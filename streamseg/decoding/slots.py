"""Shared memory for samples: four slots, which the child fills and the parent empties in the same order.

The system gives out a page of this memory when it is first written to; a block of one second of stereo uses a sixth of
its slot.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Final

SLOT_COUNT: Final = 4  # the child decodes this many blocks ahead
SLOT_BYTES: Final = 2 << 20  # 5 s of stereo at 48 kHz; a longer block is sent in parts
_TOTAL_BYTES: Final = SLOT_COUNT * SLOT_BYTES


class SharedSlots:
    """The shared memory in one of the two processes."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._view = memoryview(memory)

    def get_slot(self, block: int) -> memoryview:
        """Return the bytes of the slot that a block uses. block: its number, from 0."""
        start = block % SLOT_COUNT * SLOT_BYTES
        return self._view[start : start + SLOT_BYTES]

    def close(self) -> None:
        """Free the memory. No slot may be used afterwards."""
        self._view.release()
        self._memory.close()


def create_slots() -> tuple[SharedSlots, str]:
    """Create the memory; returns it and the handle by which a child process opens it.

    The handle is a file descriptor to be inherited, on Windows a name. Raises OSError.
    """
    if sys.platform == "win32":
        name = f"streamseg-{os.getpid()}-{os.urandom(8).hex()}"
        return SharedSlots(mmap.mmap(-1, _TOTAL_BYTES, tagname=name)), name
    descriptor = _create_unnamed_file()
    try:
        return SharedSlots(mmap.mmap(descriptor, _TOTAL_BYTES)), str(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def open_inherited_slots(handle: str) -> SharedSlots:
    """Open the memory that the parent created. handle: from `create_slots`. Raises OSError."""
    if sys.platform == "win32":
        return SharedSlots(mmap.mmap(-1, _TOTAL_BYTES, tagname=handle))
    descriptor = int(handle)
    try:
        return SharedSlots(mmap.mmap(descriptor, _TOTAL_BYTES))
    finally:
        os.close(descriptor)


def _create_unnamed_file() -> int:
    """Create a file of the right size without a name; returns its descriptor."""
    if sys.platform == "linux":
        import fcntl

        descriptor = os.memfd_create("streamseg-samples", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, _TOTAL_BYTES)
        # if a child shrank the file, the parent would die of SIGBUS when it next reads
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return descriptor
    import tempfile

    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), _TOTAL_BYTES)
        return os.dup(file.fileno())
