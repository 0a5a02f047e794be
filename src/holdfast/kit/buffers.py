"""Page-aligned buffers that are used again and again.

Big temporaries cost page faults, which on this kind of work cost more than the work itself; so
buffers come from a pool and go back to it. Aligned to the page, they serve O_DIRECT.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import threading
from collections.abc import Iterator

PAGE_BYTES = 4096
COPY_FREELY_BYTES = 256 << 10


def round_up(size_bytes: int, step_bytes: int = PAGE_BYTES) -> int:
    return -(-size_bytes // step_bytes) * step_bytes


def copy(target: memoryview, source: memoryview) -> None:
    """Copy bytes of equal length. Large copies let other threads run meanwhile: a slice assignment
    would hold the interpreter for as long as it takes. `source` must be of a writable buffer."""
    if len(source) < COPY_FREELY_BYTES or source.readonly:
        target[:] = source
        return
    ctypes.memmove(
        ctypes.addressof(ctypes.c_char.from_buffer(target)),
        ctypes.addressof(ctypes.c_char.from_buffer(source)), len(source))


class BufferPool:
    """Aligned buffers of one size. At most `keep` idle ones are held."""

    def __init__(self, size_bytes: int, keep: int = 8) -> None:
        self.size_bytes = round_up(size_bytes)
        self._keep = keep
        self._idle: list[memoryview] = []
        self._lock = threading.Lock()

    def take(self) -> memoryview:
        """A buffer with arbitrary contents."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return memoryview(mmap.mmap(-1, self.size_bytes))

    def give_back(self, buffer: memoryview) -> None:
        """The caller must hold no slice of it any more."""
        with self._lock:
            if len(self._idle) < self._keep:
                self._idle.append(buffer)

    @contextlib.contextmanager
    def lend(self) -> Iterator[memoryview]:
        buffer = self.take()
        try:
            yield buffer
        finally:
            self.give_back(buffer)
