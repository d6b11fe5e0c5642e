"""What the decoding child may use: memory, and processor time without giving any sound.

Memory on Linux is limited by the kernel (RLIMIT_DATA: private writable memory, which counts neither the code of the
libraries nor the shared slots, as RLIMIT_AS would). An allocation beyond it fails, so most of the time the child itself
can say what happened. Elsewhere a thread looks at the memory in use ten times a second.

Time is processor time: an input that delivers slowly, or nothing for hours, uses none and is waited for; a decoder that
spins uses it up. On POSIX systems the kernel ends the child (RLIMIT_CPU, SIGXCPU), even one that never lets Python
run again; elsewhere the same thread looks.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from streamseg.decoding.messages import OUT_OF_MEMORY, SPINNING

_CHECK_INTERVAL_S = 0.1


class ResourceLimits:
    """Limits of this process, in force from the moment this is made."""

    def __init__(
        self, memory_bytes: int, cpu_s: int, say: Callable[[str], None], *, by_kernel: bool | None = None
    ) -> None:
        """memory_bytes, cpu_s: the most that may be used; the latter again after each `renew`.

        say: called with the kind of ending before this process ends itself. by_kernel: whether the kernel watches,
        by default wherever it can.
        """
        self._cpu_s = cpu_s
        self._memory_bytes = memory_bytes
        self._send_ending = say
        kernel_memory = sys.platform == "linux" if by_kernel is None else by_kernel
        self._limit_cpu = sys.platform != "win32" if by_kernel is None else by_kernel
        self._cpu_until = 0.0
        if sys.platform != "win32":
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if kernel_memory:
                hard = resource.getrlimit(resource.RLIMIT_DATA)[1]  # may be lower already, and cannot be raised
                least = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
                resource.setrlimit(resource.RLIMIT_DATA, (least, least))
        self._monitors_memory = not kernel_memory
        self.renew()
        if self._monitors_memory or not self._limit_cpu:
            threading.Thread(target=self._watch, name="limits", daemon=True).start()

    def renew(self) -> None:
        """Sound was given: the processor time is counted from here on."""
        self._cpu_until = time.process_time() + self._cpu_s
        if sys.platform != "win32" and self._limit_cpu:
            import resource

            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            soft = int(self._cpu_until) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    def _watch(self) -> None:
        while True:
            time.sleep(_CHECK_INTERVAL_S)
            if self._monitors_memory and _resident_bytes() > self._memory_bytes:
                self._send_ending(OUT_OF_MEMORY)
                os._exit(1)
            if not self._limit_cpu and time.process_time() > self._cpu_until:
                self._send_ending(SPINNING)
                os._exit(1)


def _resident_bytes() -> int:
    """Memory that this process uses now, or at most has used."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        class Counters(ctypes.Structure):
            _fields_ = [("cb", wintypes.DWORD), ("PageFaultCount", wintypes.DWORD)] + [
                (name, ctypes.c_size_t)
                for name in (
                    "PeakWorkingSetSize",
                    "WorkingSetSize",
                    "QuotaPeakPagedPoolUsage",
                    "QuotaPagedPoolUsage",
                    "QuotaPeakNonPagedPoolUsage",
                    "QuotaNonPagedPoolUsage",
                    "PagefileUsage",
                    "PeakPagefileUsage",
                )
            ]

        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        kernel.K32GetProcessMemoryInfo.argtypes = [wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD]
        counters = Counters(cb=ctypes.sizeof(Counters))
        kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return int(counters.PeakPagefileUsage)
    if sys.platform == "linux":  # its peak starts with that of the parent
        with open("/proc/self/statm", "rb") as counts:  # noqa: PTH123
            return int(counts.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # in bytes on macOS alone
