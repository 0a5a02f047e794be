"""The commit lock: flock on `log/lock` of a majority of the log's members, and the mark inside.

The kernel drops a flock when its process dies, so a lock never outlives its holder. The lock file
holds two things: the promised epoch (durable), and a mark that says where the log ends and whether
the last holder left cleanly (page cache only: a mark of another boot is not believed). The files
are taken in the order of node uuids, so that two processes cannot hold half each.

flock, never lockf: closing any other descriptor of the file would drop a POSIX lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import weakref
from pathlib import Path
from typing import NamedTuple

import xxhash

from holdfast import errors
from holdfast.engines.embedded import log_file
from holdfast.kit import atomic, clock

LOCK_NAME = "lock"
POLL_S = (0.0005, 0.02)
_EPOCH = struct.Struct("<8sQQ")
_EPOCH_MAGIC = b"HFEPOCH1"
_MARK = struct.Struct("<8s16sQQQQQ32sQQQ")
_MARK_MAGIC = b"HFMARK01"
_MARK_AT = 512
CLEAN, BUSY = 1, 2


class Mark(NamedTuple):
    """Where the log ends: `offset` in file `name`, after `sequence` with `chain`."""

    name: log_file.Name
    sequence: int
    chain: bytes
    offset: int


class SeenMark(NamedTuple):
    mark: Mark
    state: int
    pid: int
    current_boot: bool


class LockFile:
    """One member's lock file, kept open."""

    def __init__(self, number: int, root: Path) -> None:
        self.number = number
        self.path = log_file.folder_of(root) / LOCK_NAME
        self._descriptor: int | None = None

    def descriptor(self) -> int:
        """Raises OSError when the node is not there."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            _open_files.add(self)
        return self._descriptor

    def is_current(self) -> bool:
        """False when the path is gone or names another file than the one that is open."""
        try:
            named, opened = os.stat(self.path), os.fstat(self.descriptor())
        except OSError:
            return False
        return (named.st_ino, named.st_dev) == (opened.st_ino, opened.st_dev)

    def epoch(self) -> int:
        """The promised epoch; 0 when none or damaged. Raises OSError."""
        data = os.pread(self.descriptor(), _EPOCH.size, 0)
        if len(data) < _EPOCH.size:
            return 0
        magic, epoch, own = _EPOCH.unpack(data)
        good = magic == _EPOCH_MAGIC and own == xxhash.xxh3_64_intdigest(data[:16])
        return int(epoch) if good else 0

    def promise(self, epoch: int) -> None:
        """Durably promise `epoch`. Raises OSError."""
        head = struct.pack("<8sQ", _EPOCH_MAGIC, epoch)
        data = head + struct.pack("<Q", xxhash.xxh3_64_intdigest(head))
        atomic.write(self.descriptor(), data, 0, point="log.promise")
        atomic.sync(self.descriptor(), point="log.promise.sync")

    def mark_bytes(self) -> bytes:
        """The mark as it stands in the file: equal bytes mean an equal mark. Raises OSError."""
        return os.pread(self.descriptor(), _MARK.size, _MARK_AT)

    def mark(self) -> SeenMark | None:
        """What the last holder wrote; None when nothing whole is there. Raises OSError."""
        data = self.mark_bytes()
        if len(data) < _MARK.size:
            return None
        magic, boot, epoch, first, nonce, sequence, offset, chain, state, pid, own = (
            _MARK.unpack(data))
        if magic != _MARK_MAGIC or own != xxhash.xxh3_64_intdigest(data[:-8]):
            return None
        name = log_file.Name(epoch, first, nonce)
        return SeenMark(Mark(name, sequence, chain, offset), state, pid, boot == boot_id())

    def write_mark(self, data: bytes) -> None:
        """Write what `pack_mark` made. Raises OSError."""
        os.pwrite(self.descriptor(), data, _MARK_AT)

    def close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def pack_mark(mark: Mark, state: int) -> bytes:
    """A mark of this process, for `write_mark`."""
    name = mark.name
    head = _MARK.pack(_MARK_MAGIC, boot_id(), name.epoch, name.first, name.nonce,
                      mark.sequence, mark.offset, mark.chain, state, os.getpid(), 0)[:-8]
    return head + struct.pack("<Q", xxhash.xxh3_64_intdigest(head))


def create(root: Path) -> None:
    """Make the lock file of a new member; one that is there stays."""
    path = log_file.folder_of(root) / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        atomic.sync(descriptor, point="log.lock.create")
    finally:
        os.close(descriptor)
    atomic.sync_folder(path.parent, point="log.lock.folder")


class CommitLock:
    """The lock over the members that can be reached. One thread at a time holds it."""

    def __init__(self, files: list[LockFile], majority: int) -> None:
        """`files` in the order of their nodes' uuids; `majority` of all members, reachable or not."""
        self.files = files
        self.majority = majority
        self.held: list[LockFile] = []
        self._mutex = threading.Lock()

    def acquire(self, deadline: clock.Deadline | None) -> None:
        """Take it. None: wait in the kernel for as long as it takes (for a thread of its own).

        Raises UnavailableError naming the holder, or when no majority can be reached.
        """
        wait_s = None if deadline is None else deadline.left_s()
        if not self._mutex.acquire(timeout=-1 if wait_s is None else wait_s):
            raise self._is_held()
        try:
            self._take_majority(deadline)
        except BaseException:
            self._release_files()
            self._mutex.release()
            raise

    def release(self) -> None:
        self._release_files()
        self._mutex.release()

    def undisturbed(self, epoch: int) -> bool:
        """After an append: are the locks still ours, and was no higher epoch promised meanwhile?"""
        try:
            return all(one.is_current() and one.epoch() <= epoch for one in self.held)
        except OSError:
            return False

    def holder(self) -> str:
        """Who holds it, for messages: `process 123 (stopped)`."""
        for one in self.files:
            with contextlib.suppress(OSError):
                seen = one.mark()
                if seen is not None and seen.current_boot:
                    return _describe(seen.pid)
        return "another process"

    def _take_majority(self, deadline: clock.Deadline | None) -> None:
        for one in self.files:
            if len(self.held) == self.majority:
                return
            if self._take(one, deadline):
                self.held.append(one)
        if len(self.held) < self.majority:
            raise errors.UnavailableError(
                "log.no_majority", "only {have} of {need} needed copies of the commit log can be "
                "reached; nothing can be written", have=len(self.held), need=self.majority,
                hint="holdfast status shows which nodes are missing; bring one back",
            )

    def _take(self, one: LockFile, deadline: clock.Deadline | None) -> bool:
        """False: this member cannot be reached."""
        while True:
            try:
                descriptor = one.descriptor()
                if deadline is None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                else:
                    self._poll(descriptor, deadline)
            except OSError:
                one.close()
                return False
            if one.is_current():
                return True
            one.close()
            if not one.path.exists():
                return False

    def _poll(self, descriptor: int, deadline: clock.Deadline) -> None:
        pause, longest = POLL_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if deadline.passed:
                    raise self._is_held() from None
                clock.SYSTEM.sleep(pause)
                pause = min(pause * 2, longest)
            else:
                return

    def _is_held(self) -> errors.UnavailableError:
        return errors.UnavailableError(
            "log.locked", "the commit lock is held by {holder}",
            hint="wait for it, or look at what it is doing: ps -fp {pid}",
            holder=self.holder(), pid=self.holder().split(" ")[1],
        )

    def _release_files(self) -> None:
        for one in reversed(self.held):
            with contextlib.suppress(OSError):
                fcntl.flock(one.descriptor(), fcntl.LOCK_UN)
        self.held = []


def boot_id() -> bytes:
    """The kernel's identity of this boot, 16 bytes."""
    global _boot  # noqa: PLW0603 - constant for the life of the process
    if _boot is None:
        text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        _boot = bytes.fromhex(text.replace("-", ""))
    return _boot


def _describe(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"process {pid} (gone)"
    states = {"T": "stopped", "D": "waiting for a disk", "Z": "dead"}
    return f"process {pid} ({states.get(fields[0], 'running')})"


_boot: bytes | None = None
_open_files: weakref.WeakSet[LockFile] = weakref.WeakSet()


def _close_in_child() -> None:
    """A forked child shares its parent's flocks; it must not keep a dead parent's lock alive."""
    for one in list(_open_files):
        one.close()


os.register_at_fork(after_in_child=_close_in_child)
