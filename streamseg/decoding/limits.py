"""Limits the memory of the decoding child, and the processor time that the child may use without decoding a sample.

On Linux the kernel limits the memory (RLIMIT_DATA: private writable memory; unlike RLIMIT_AS it does not count the code
of libraries or the shared slots). An allocation beyond the limit fails, so the child can usually report the reason
itself. On other systems a thread measures the memory in use ten times a second.

Time is processor time. An input that delivers data slowly, or none for hours, uses no processor time, and the child
waits for it; a decoder in an endless loop uses it up. On POSIX systems the kernel ends the child (RLIMIT_CPU, SIGXCPU),
also when Python code never runs again; on other systems the same thread measures the time.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from streamseg.decoding.messages import OUT_OF_MEMORY, SPINNING

_CHECK_INTERVAL_S = 0.1


class ResourceLimiter:
    """Limits this process: above the memory limit, allocations fail or it ends; above the CPU-time limit, it ends."""

    def __init__(
        self, memory_bytes: int, cpu_s: int, send_ending: Callable[[str], None], *, by_kernel: bool | None = None
    ) -> None:
        """Set the limits; they are in force from now on.

        memory_bytes: the memory that this process may use. cpu_s: the processor time in seconds that this process may
        use until the next `renew_cpu_limit`.
        send_ending: called with one of `messages.ENDINGS` before this process ends itself.
        by_kernel: whether the kernel enforces the limits, else a thread; None: the kernel where it can.
        """
        self._cpu_s = cpu_s
        self._memory_bytes = memory_bytes
        self._send_ending = send_ending
        kernel_memory = sys.platform == "linux" if by_kernel is None else by_kernel
        self._limit_cpu = sys.platform != "win32" if by_kernel is None else by_kernel
        self._cpu_until = 0.0
        if sys.platform != "win32":
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if kernel_memory:
                hard = resource.getrlimit(resource.RLIMIT_DATA)[1]  # may already be lower, and cannot be raised
                limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
                resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        self._monitors_memory = not kernel_memory
        self.renew_cpu_limit()
        if self._monitors_memory or not self._limit_cpu:
            threading.Thread(target=self._monitor_resources, name="limits", daemon=True).start()

    def renew_cpu_limit(self) -> None:
        """Allow `cpu_s` seconds (set at creation) of processor time from now on; call this when decoding progresses."""
        self._cpu_until = time.process_time() + self._cpu_s
        if sys.platform != "win32" and self._limit_cpu:
            import resource

            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            soft = int(self._cpu_until) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    def _monitor_resources(self) -> None:
        while True:
            time.sleep(_CHECK_INTERVAL_S)
            if self._monitors_memory and _measure_memory() > self._memory_bytes:
                self._send_ending(OUT_OF_MEMORY)
                os._exit(1)
            if not self._limit_cpu and time.process_time() > self._cpu_until:
                self._send_ending(SPINNING)
                os._exit(1)


def _measure_memory() -> int:
    """Measure the memory of this process: its present size on Linux, its peak on other systems."""
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
    if sys.platform == "linux":  # the peak would start with that of the parent
        with open("/proc/self/statm", "rb") as counts:  # noqa: PTH123
            return int(counts.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS reports bytes, other systems KiB
