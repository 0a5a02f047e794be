"""Segment files open for reading: kept for a while, and never another file than the path names."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from holdfast.engines.embedded import segment

FILES_KEPT = 128


class SegmentReader:
    """Of one open store. Thread-safe; the least recently used files are closed first."""

    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}
        self._lock = threading.Lock()

    def read_at(self, path: Path, length: int, position: int) -> tuple[bytes, bool]:
        """(what a segment file holds there, is its header whole?). Raises OSError."""
        file = self._get(path)
        return os.pread(file.descriptor, length, position), file.has_header

    def forget_removed(self) -> None:
        """Close files that were removed, so that their space comes back."""
        with self._lock:
            self._let_go_of_removed()

    def close(self) -> None:
        with self._lock:
            self._files.clear()

    def _get(self, path: Path) -> _File:
        named = os.stat(path)
        with self._lock:
            found = self._files.pop(path, None)
            if found is None or found.identity != (named.st_dev, named.st_ino):
                self._let_go_of_removed()
                found = _File(path)
            self._files[path] = found
            if len(self._files) > FILES_KEPT:
                self._files.pop(next(iter(self._files)))
            return found

    def _let_go_of_removed(self) -> None:
        for path in [path for path, file in self._files.items() if file.is_removed()]:
            del self._files[path]


class _File:
    """Closes with its last reference, so that a reader in another thread may finish."""

    descriptor = -1

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        opened = os.fstat(self.descriptor)
        self.identity = (opened.st_dev, opened.st_ino)
        self.has_header = segment.is_header(os.pread(self.descriptor, segment.HEADER_BYTES, 0))

    def is_removed(self) -> bool:
        try:
            return os.fstat(self.descriptor).st_nlink == 0
        except OSError:
            return True

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
