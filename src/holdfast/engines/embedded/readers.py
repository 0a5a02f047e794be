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
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from holdfast.engines.embedded import log_file
from holdfast.kit import ids

FOLDER = "readers"
IDLE = 0
EVERYTHING = 1  # pins whatever was freed since the store was made
_VALUE = struct.Struct("<QQ")  # commit, pid
_MAKE_TRIES = 8

_all: weakref.WeakSet[ReaderSlots] = weakref.WeakSet()


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
        self._slots: list[tuple[int, Path]] = []
        self._active: dict[int, int] = {}
        self._next = 0
        _all.add(self)

    @contextlib.contextmanager
    def reading(self, sequence: int) -> Iterator[None]:
        """Pin what commit `sequence` can see for the length of the block."""
        ticket = self.pin(sequence)
        try:
            yield
        finally:
            self.unpin(ticket)

    def pin(self, sequence: int) -> int:
        """Look names up only after this: what was freed after `sequence` stays until `unpin`."""
        with self._lock:
            self._next += 1
            wanted = max(sequence, EVERYTHING)
            before = min(self._active.values(), default=None)
            self._active[self._next] = wanted
            if before is None or wanted < before:
                self._publish(wanted)
            return self._next

    def unpin(self, ticket: int) -> None:
        with self._lock:
            gone = self._active.pop(ticket, None)
            oldest = min(self._active.values(), default=IDLE)
            if gone is not None and (oldest == IDLE or oldest > gone):
                self._publish(oldest)

    def close(self) -> None:
        with self._lock:
            _remove(self._slots)
            self._slots, self._active = [], {}

    def forget(self) -> None:
        """In the child of a fork: let go of the parent's slots, which stay the parent's."""
        for descriptor, _ in self._slots:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._slots, self._active = [], {}
        self._lock = threading.Lock()

    def _publish(self, sequence: int) -> None:
        data = _VALUE.pack(sequence, os.getpid())
        written = [_wrote(descriptor, data) for descriptor, _ in self._slots]
        if self._slots and all(written):
            return
        old, self._slots = self._slots, []
        if sequence != IDLE:
            self._slots = self._make()
            for descriptor, _ in self._slots:
                _wrote(descriptor, data)  # an empty slot pins everything, which is safe
        _remove(old)  # a disk was full or failed: what these say is not known

    def _make(self) -> list[tuple[int, Path]]:
        """Slots on a majority of the members; fewer where nodes are read-only or away."""
        name = f"{os.getpid()}-{ids.new_number():016x}"
        made: list[tuple[int, Path]] = []
        for root in self._roots():
            if len(made) == self._majority:
                break
            path = log_file.folder_of(root) / FOLDER / name
            with contextlib.suppress(OSError):
                made.append((_locked_file(path), path))
        return made


def pins(roots: Iterable[Path]) -> list[Pin]:
    """The commits that readers of any process need; slots of dead processes are cleared away."""
    found: dict[str, Pin] = {}
    for root in roots:
        folder = log_file.folder_of(root) / FOLDER
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        for entry in entries:
            pin = _pin_of(folder / entry)
            if pin is None or pin.sequence == IDLE:
                continue
            known = found.get(entry)
            if known is None or pin.sequence < known.sequence:
                found[entry] = pin
    return list(found.values())


def _locked_file(path: Path) -> int:
    """A new slot under a shared flock. A collector that saw it unlocked has removed it: again."""
    for _ in range(_MAKE_TRIES):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OSError(f"{path} was removed again and again")


def _remove(slots: list[tuple[int, Path]]) -> None:
    for descriptor, path in slots:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _wrote(descriptor: int, data: bytes) -> bool:
    try:
        return os.pwrite(descriptor, data, 0) == len(data)
    except OSError:
        return False


def _pin_of(path: Path) -> Pin | None:
    """What a slot says; one that may not be looked at pins everything."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return Pin(0, EVERYTHING)
    except OSError:
        return None
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            return None
        data = os.pread(descriptor, _VALUE.size, 0)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if len(data) < _VALUE.size:  # just being made, or on a full disk
        return Pin(0, EVERYTHING)
    sequence, pid = _VALUE.unpack(data)
    return Pin(pid, sequence)


def _close_in_child() -> None:
    """A forked child shares its parent's flocks; it must not keep a dead parent's slots alive."""
    for slots in list(_all):
        slots.forget()


os.register_at_fork(after_in_child=_close_in_child)
