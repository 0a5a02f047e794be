"""Slots that tell the collector which commits open readers still need.

A process that reads holds a shared flock on a slot file of its own on the log's members, with the
commit from which its oldest open reader started (0: none). The kernel drops the flock with the
process, so a dead reader pins nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from holdfast.engines.embedded import log_file
from holdfast.kit import ids

FOLDER = "readers"
IDLE = 0
_VALUE = struct.Struct("<QQ")  # commit, pid


class Pin(NamedTuple):
    """A process that reads, and the commit that it still needs."""

    pid: int
    sequence: int


class ReaderSlots:
    """This process's slots. Thread-safe."""

    def __init__(self, roots: Callable[[], list[Path]], majority: int) -> None:
        self._roots = roots
        self._majority = majority
        self._lock = threading.Lock()
        self._slots: list[tuple[int, Path]] | None = None
        self._active: dict[int, int] = {}
        self._next = 0

    @contextlib.contextmanager
    def reading(self, sequence: int) -> Iterator[None]:
        """Pin what commit `sequence` can see for the length of the block."""
        ticket = self.pin(sequence)
        try:
            yield
        finally:
            self.unpin(ticket)

    def pin(self, sequence: int) -> int:
        with self._lock:
            self._next += 1
            before = min(self._active.values(), default=None)
            self._active[self._next] = max(sequence, 1)
            if before is None or sequence < before:
                self._publish(max(sequence, 1))
            return self._next

    def unpin(self, ticket: int) -> None:
        with self._lock:
            gone = self._active.pop(ticket, None)
            oldest = min(self._active.values(), default=IDLE)
            if gone is not None and (oldest == IDLE or oldest > gone):
                self._publish(oldest)

    def close(self) -> None:
        with self._lock:
            for descriptor, path in self._slots or []:
                with contextlib.suppress(OSError):
                    path.unlink()
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            self._slots = None
            self._active = {}

    def forget(self) -> None:
        """In the child of a fork: let go of the parent's slots, which stay the parent's."""
        for descriptor, _ in self._slots or []:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._slots, self._active = None, {}
        self._lock = threading.Lock()

    def _publish(self, sequence: int) -> None:
        if self._slots is None:
            self._slots = self._make()
        data = _VALUE.pack(sequence, os.getpid())
        for descriptor, _ in self._slots:
            with contextlib.suppress(OSError):
                os.pwrite(descriptor, data, 0)

    def _make(self) -> list[tuple[int, Path]]:
        """Slots on a majority of the members; fewer where nodes are read-only or away."""
        name = f"{os.getpid()}-{ids.new_number():016x}"
        made: list[tuple[int, Path]] = []
        for root in self._roots():
            if len(made) == self._majority:
                break
            path = log_file.folder_of(root) / FOLDER / name
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                made.append((descriptor, path))
        return made


def pins(roots: list[Path]) -> list[Pin]:
    """The commits that readers of any process need; slots of dead processes are cleared away."""
    found: dict[str, Pin] = {}
    for root in roots:
        folder = log_file.folder_of(root) / FOLDER
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                pin = _pin_of(folder / entry)
                if pin is not None and pin.sequence != IDLE:
                    found[entry] = pin
    return list(found.values())


def _pin_of(path: Path) -> Pin | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            return None
        data = os.pread(descriptor, _VALUE.size, 0)
        if len(data) < _VALUE.size:
            return Pin(0, 1)  # just being made: pins everything for a moment
        sequence, pid = _VALUE.unpack(data)
        return Pin(pid, sequence)
    finally:
        os.close(descriptor)
