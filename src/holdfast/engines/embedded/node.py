"""One node: its folder, its few threads, and the verdict on whether it can be used.

Every file operation on a node runs in the node's own threads under a deadline, so that a disk that
hangs hurts nobody else. A node that missed a deadline, failed a sync or a write is suspect: later
operations fail at once, until someone has looked at it and calls `reinstate`. What one node fails
with is a NodeFailed, which never leaves the engine: the reader and the writer go on with others.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import uuid as uuids
import weakref
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import TypeVar

from holdfast.engines.embedded import node_threads, piece
from holdfast.kit import atomic, clock

T = TypeVar("T")
Operation = node_threads.Operation

SENTINEL = "holdfast.node"
DEADLINE_S = 30.0
TIMEOUT = "node.timeout"
_THREADS = 4
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REASONS = {
    errno.ENOENT: "node.no_file",
    errno.EIO: "node.io_error",
    errno.EROFS: "node.read_only",
    errno.EACCES: "node.no_access",
    errno.EPERM: "node.no_access",
}

_disks: weakref.WeakSet[NodeDisk] = weakref.WeakSet()


class NodeFailed(Exception):  # noqa: N818 - an event inside the engine, not an error for users
    """A node could not do something. `reason` is a stable code such as `node.timeout`."""

    def __init__(self, reason: str, node: int, cause: BaseException | None = None) -> None:
        self.reason = reason
        self.node = node
        self.cause = cause
        super().__init__(f"node {node}: {reason}")

    @property
    def full(self) -> bool:
        return self.reason == "node.full"


class Latency:
    """How long reads take, smoothed: mean and deviation by EWMA, 1/16 for each new one."""

    def __init__(self) -> None:
        self._mean_s = 0.0
        self._deviation_s = 0.0

    def add(self, seconds: float) -> None:
        difference = seconds - self._mean_s
        self._mean_s += difference / 16
        self._deviation_s += (abs(difference) - self._deviation_s) / 16

    def bound_s(self) -> float:
        """Three times about the 99th percentile, at least 0.2 s: beyond it others are asked."""
        return max(0.2, 3 * (self._mean_s + 3 * self._deviation_s))


class NodeDisk:
    """One node as the engine uses it. Thread-safe; survives fork (the child starts own threads)."""

    def __init__(
        self, number: int, name: str, uuid: str, root: Path, *, time: clock.Clock = clock.SYSTEM
    ) -> None:
        self.number = number
        self.name = name
        self.uuid = uuid
        self.uuid_bytes = uuids.UUID(uuid).bytes
        self.root = root
        self.suspect: str | None = None
        self.read_latency = Latency()
        self._clock = time
        self._lock = threading.Lock()
        self._folder_lock = threading.Lock()
        self._groups: set[int] = set()
        self._threads: node_threads.NodeThreads | None = None
        _disks.add(self)

    # --- operations in the node's threads

    def submit(
        self,
        call: Callable[..., T],
        *arguments: object,
        deadline_s: float = DEADLINE_S,
        even_if_suspect: bool = False,
    ) -> Operation[T]:
        """Start `call(*arguments)` in a thread of the node; `outcome` waits for it.

        Raises NodeFailed at once when the node is suspect, unless `even_if_suspect`: for clearing
        up, which runs when the node answers again and which nobody need wait for.
        """
        if not even_if_suspect:
            self._check_usable()
        operation = Operation(lambda: call(*arguments), deadline_s, self._clock)
        with self._lock:
            if self._threads is None:
                name = f"holdfast-node-{self.number}"
                self._threads = node_threads.NodeThreads(name, _THREADS)
            threads = self._threads
        threads.submit(operation)  # type: ignore[arg-type]  # the result is not looked at there
        return operation

    def outcome(self, operation: Operation[T], *, within_s: float | None = None) -> T:
        """The result of an operation of this node, waited for until its deadline.

        Raises NodeFailed; a missed deadline makes the node suspect. With `within_s`, TimeoutError
        when it takes longer than that after it was submitted, which is no verdict.
        """
        now_s = self._clock.monotonic_s()
        left_s = operation.left_s(now_s)
        if within_s is not None:
            left_s = min(left_s, max(0.0, operation.submitted_s + within_s - now_s))
        try:
            return operation.future.result(left_s)
        except OSError as error:
            if operation.done or not isinstance(error, futures.TimeoutError):
                raise self.failure(error) from error
            if operation.left_s(self._clock.monotonic_s()) > 0.0:
                raise
            raise self._mark(TIMEOUT, error) from error

    def call(self, call: Callable[..., T], *arguments: object, deadline_s: float = DEADLINE_S) -> T:
        """`call(*arguments)` in a thread of the node. Raises NodeFailed."""
        return self.outcome(self.submit(call, *arguments, deadline_s=deadline_s))

    def stalled(self) -> bool:
        """An operation has been waiting for longer than reads of this node ever take."""
        threads = self._threads
        oldest_s = None if threads is None else threads.oldest_s()
        if oldest_s is None:
            return False
        return self._clock.monotonic_s() - oldest_s > self.read_latency.bound_s()

    def reinstate(self) -> None:
        """Someone has looked: use the node again, with fresh threads."""
        self._forget_threads()
        self.suspect = None

    def close(self) -> None:
        """Let the threads end; one that hangs is left behind."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.stop()

    # --- files; called inside the node's threads

    def check_sentinel(self) -> None:
        """Raises NodeFailed when the sentinel is absent: the node is not mounted; never write."""
        if not (self.root / SENTINEL).exists():
            raise NodeFailed("node.no_sentinel", self.number)

    def make_folders(self) -> None:
        """Ready an empty node: the folders that pieces need."""
        for name in ("pg", "tmp"):
            atomic.make_folder(self.root / name, point="node.make_folder")

    def group_folder(self, group: int) -> Path:
        """The folder of a placement group, made durably when this process first needs it.

        Its name is synced even when it is there already: another process may have just made it.
        """
        folder = self.root / piece.group_folder(group)
        with self._folder_lock:
            if group not in self._groups:
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(mode=0o750)
                atomic.sync_folder(folder.parent, point="node.group_folder.sync")
                self._groups.add(group)
        return folder

    def piece_path(self, group: int, object_id: int, shard: int, number: int) -> Path:
        return self.root / piece.group_folder(group) / piece.file_name(object_id, shard, number)

    def create(self, path: Path) -> int:
        """A new file for O_DIRECT where the file system can, else for buffered writes."""
        self.check_sentinel()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o640)
        with contextlib.suppress(OSError):
            _set_direct(descriptor, on=True)
        return descriptor

    def write(
        self, descriptor: int, parts: Sequence[memoryview | bytes], offset: int, *, point: str
    ) -> None:
        """Write all parts, one after the other. A failure other than a full disk is final."""
        atomic.crash_point(point)
        views = [memoryview(part).cast("B") for part in parts]
        try:
            while views:
                written = self._write_some(descriptor, views, offset)
                offset += written
                views = after(views, written)
        except OSError as error:
            raise self._write_failure(error) from error

    def sync(self, descriptor: int, *, point: str) -> None:
        """Make a file's contents durable. A failure is final and never tried again."""
        try:
            self._fdatasync(descriptor, point)
        except OSError as error:
            raise self._mark("node.sync_failed", error) from error

    def sync_folder(self, folder: Path, *, point: str) -> None:
        try:
            atomic.sync_folder(folder, point=point)
        except OSError as error:
            raise self._mark("node.sync_failed", error) from error

    def remove(self, path: Path) -> None:
        """Remove a file; one that is gone already is fine."""
        atomic.remove(path, point="piece.remove")

    def failure(self, error: OSError) -> NodeFailed:
        """What an OSError on this node means."""
        number = error.errno or 0
        reason = "node.full" if number in FULL else _REASONS.get(number, "node.failed")
        return NodeFailed(reason, self.number, error)

    # --- inside

    def _check_usable(self) -> None:
        threads = self._threads
        if threads is not None and threads.any_overdue(self._clock.monotonic_s()):
            self._mark(TIMEOUT, None)
        if self.suspect is not None:
            raise NodeFailed(self.suspect, self.number)

    def _mark(self, reason: str, cause: BaseException | None) -> NodeFailed:
        self.suspect = self.suspect or reason
        return NodeFailed(reason, self.number, cause)

    def _write_failure(self, error: OSError) -> NodeFailed:
        failure = self.failure(error)
        return failure if failure.full else self._mark(failure.reason, error)

    def _write_some(self, descriptor: int, views: list[memoryview], offset: int) -> int:
        try:
            return self._pwritev(descriptor, views, offset)
        except OSError as error:
            if error.errno != errno.EINVAL or not _is_direct(descriptor):
                raise
        _set_direct(descriptor, on=False)
        return self._pwritev(descriptor, views, offset)

    def _pwritev(self, descriptor: int, views: list[memoryview], offset: int) -> int:
        return os.pwritev(descriptor, views, offset)

    def _fdatasync(self, descriptor: int, point: str) -> None:
        atomic.sync(descriptor, point=point)

    def _forget_threads(self) -> None:
        self._lock = threading.Lock()
        self._folder_lock = threading.Lock()
        self._groups = set()
        self._threads = None


def after(views: list[memoryview], count: int) -> list[memoryview]:
    """What is left of the views after their first `count` bytes."""
    left = list(views)
    while left and count >= left[0].nbytes:
        count -= left.pop(0).nbytes
    if left and count:
        left[0] = left[0][count:]
    return left


def _is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


def _set_direct(descriptor: int, *, on: bool) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)


def _forget_threads_in_child() -> None:
    for disk in list(_disks):
        disk._forget_threads()  # noqa: SLF001 - same module: threads do not survive fork


os.register_at_fork(after_in_child=_forget_threads_in_child)
