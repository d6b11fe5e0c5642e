"""Shared memory of four slots, by which the decoding child passes blocks of samples to its parent.

The child fills the slots in turn; the parent empties them in the same order.

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
    """Memory that the decoding process shares with its parent: four slots of 2 MiB, each for one block of samples."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._view = memoryview(memory)

    def get_slot(self, block_number: int) -> memoryview:
        """Return the slot for the samples of a block, as 2 MiB of writable memory; blocks use the four slots in turn.

        block_number: counted from 0.
        """
        start = block_number % SLOT_COUNT * SLOT_BYTES
        return self._view[start : start + SLOT_BYTES]

    def close(self) -> None:
        """Free the shared memory in this process. No slot may be used afterwards."""
        self._view.release()
        self._memory.close()


def create_slots() -> tuple[SharedSlots, str]:
    """In the parent process, create the shared memory; return it and a handle by which the child opens this memory.

    The handle is the number of a file descriptor, which the child must inherit and the caller then closes; on Windows
    it is a name. Raises OSError.
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
    """In the child process, open the shared memory by the `handle` that `create_slots` returned to the parent.

    Raises OSError.
    """
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
