"""The commit lock: flock on `log/lock` of a majority of the log's members, and the mark inside.

The kernel drops a flock when its process dies, so a lock never outlives its holder. The lock file
holds two things: the promised epoch (durable), and a mark that says where the log ends and whether
the last holder left cleanly (page cache only: a mark of another boot is not believed). The files
are taken in the order of node uuids, so that two processes cannot hold half each.

flock, never lockf: closing any other descriptor of the file would drop a POSIX lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
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
TWO = 2  # members of the log of a store on two nodes


class Mark(NamedTuple):
    """Where the log ends: `offset` in file `name`, after `sequence` with `chain`."""

    name: log_file.Name
    sequence: int
    chain: bytes
    offset: int


class SeenMark(NamedTuple):
    """A mark as it was found, and by whom it was written."""

    mark: Mark
    state: int
    pid: int
    current_boot: bool


class HeldError(Exception):
    """Somebody else had the lock file for all of the time that there was."""


class LockFile:
    """One member's lock file, kept open."""

    def __init__(self, number: int, root: Path) -> None:
        self.number = number
        self.path = log_file.folder_of(root) / LOCK_NAME
        self.writable = False
        self._descriptor: int | None = None
        self._page: mmap.mmap | None = None

    def descriptor(self) -> int:
        """Raises OSError when the node is not there."""
        if self._descriptor is None:
            self._descriptor, self.writable = _open(self.path)
            self._page = _keep_in_memory(self._descriptor)
            _open_files.add(self)
        return self._descriptor

    def is_current(self) -> bool:
        """False when the path is gone or names another file than the one that is open."""
        if self._descriptor is None:
            return False
        try:
            named, opened = os.stat(self.path), os.fstat(self._descriptor)
        except OSError:
            return False
        return (named.st_ino, named.st_dev) == (opened.st_ino, opened.st_dev)

    def take(self, deadline: clock.Deadline | None) -> bool:
        """Lock it; False when the node is not there or cannot be written.

        A lock file that was deleted from a node is made anew: without a mark, so that whoever takes
        it begins a new epoch. Raises HeldError.
        """
        while True:
            try:
                if not self.path.exists():
                    create(self.path.parent.parent)
                descriptor = self.descriptor()
                if not self.writable:
                    return False
                _flock(descriptor, deadline)
            except OSError:
                self.close()
                return False
            if self._descriptor == descriptor and self.is_current():
                return True
            self.close()

    def release(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

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
        """Write what `pack_mark` made, into the page cache only. Raises OSError."""
        os.pwrite(self.descriptor(), data, _MARK_AT)

    def close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor, self._page = None, None


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

    def __init__(self, files: list[LockFile], majority: int, of: int) -> None:
        """`files` in the order of their nodes' uuids; `majority` of all `of` members."""
        self.files = files
        self.majority = majority
        self.of = of
        self.held: list[LockFile] = []
        self._closed = False
        self._mutex = threading.Lock()

    def acquire(
        self, deadline: clock.Deadline | None, *, without: frozenset[int] = frozenset()
    ) -> None:
        """Take it. None: wait in the kernel for as long as it takes (for a thread of its own).

        `without`: members that failed and are not to be relied on. Raises UnavailableError that
        names the holder, or when no majority can be reached.
        """
        wait_s = None if deadline is None else deadline.left_s()
        if not self._mutex.acquire(timeout=-1 if wait_s is None else wait_s):
            raise self.is_held()
        try:
            self._take_majority(deadline, without)
        except BaseException:
            self._release_files()
            self._mutex.release()
            raise

    def release(self) -> None:
        self._release_files()
        self._mutex.release()

    def leave_out(self, number: int) -> None:
        """Do not take or read this member's file any more: its disk hangs."""
        self.files = [one for one in self.files if one.number != number]

    def undisturbed(self, epoch: int) -> bool:
        """After an append: are the locks still ours, and was no higher epoch promised meanwhile?"""
        try:
            return all(one.is_current() and one.epoch() <= epoch for one in self.held)
        except OSError:
            return False

    def left_cleanly(self) -> bool:
        """Has every file that is held a mark, and none of this boot that says "busy"?"""
        try:
            seen = [one.mark() for one in self.held]
        except OSError:
            return False
        return all(
            one is not None and not (one.current_boot and one.state == BUSY) for one in seen
        )

    def close(self) -> None:
        """Whoever still waits for the lock gets an error instead of it."""
        self._closed = True
        for one in self.files:
            one.close()

    def is_held(self) -> errors.UnavailableError:
        """The error that says who holds it, for one who has waited long enough."""
        pid = self.holder()
        return errors.UnavailableError(
            "log.locked", "the commit lock is held by process {pid}, which is {state}",
            hint="wait for it, or look at what it is doing: ps -fp {pid}", pid=pid,
            state=_state_of(pid),
        )

    def holder(self) -> int:
        """The process that holds a lock file now, else the one that held it last; 0: unknown."""
        for one in self.files:
            with contextlib.suppress(OSError):
                pid = _flock_holder(one.path)
                if pid:
                    return pid
        for one in self.files:
            with contextlib.suppress(OSError):
                seen = one.mark()
                if seen is not None and seen.current_boot:
                    return seen.pid
        return 0

    def _take_majority(self, deadline: clock.Deadline | None, without: frozenset[int]) -> None:
        for one in self.files:
            if len(self.held) == self.majority:
                break
            if one.number in without or self._closed:
                continue
            try:
                taken = one.take(deadline)
            except HeldError:
                raise self.is_held() from None
            if taken:
                self.held.append(one)
        if self._closed:
            raise errors.UnavailableError(
                "log.closed", "the store was closed while a change was waiting",
                hint="nothing was changed; open the store again",
            )
        if len(self.held) < self.majority:
            raise self._no_majority()

    def _no_majority(self) -> errors.UnavailableError:
        if self.of == TWO:
            return errors.UnavailableError(
                "log.needs_both", "a store on two nodes needs both of them to change anything, and "
                "only {have} can be reached", have=len(self.held),
                hint="reading goes on; bring the other node back (holdfast status names it). A "
                "store on three nodes or more goes on without one",
            )
        return errors.UnavailableError(
            "log.no_majority", "only {have} of {need} needed copies of the commit log can be "
            "reached; nothing can be changed", have=len(self.held), need=self.majority,
            hint="reading goes on; holdfast status shows which nodes are missing; bring one back",
        )

    def _release_files(self) -> None:
        for one in reversed(self.held):
            one.release()
        self.held = []


def boot_id() -> bytes:
    """The kernel's identity of this boot, 16 bytes."""
    global _boot  # noqa: PLW0603 - constant for the life of the process
    if _boot is None:
        text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        _boot = bytes.fromhex(text.replace("-", ""))
    return _boot


def _open(path: Path) -> tuple[int, bool]:
    """(descriptor, can it be written?)"""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC), True
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False


def _keep_in_memory(descriptor: int) -> mmap.mmap | None:
    """A mapping that is never looked at: as long as it lives, the kernel keeps the page with the
    mark, so that reading the mark does not wait for a disk that hangs. Raises OSError."""
    if not os.pread(descriptor, 1, 0):
        return None  # empty: there is no page yet
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    return mmap.mmap(descriptor, 0, flags=flags, prot=mmap.PROT_READ)


def _flock(descriptor: int, deadline: clock.Deadline | None) -> None:
    """Raises HeldError, and OSError when it cannot be locked at all."""
    if deadline is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    pause, longest = POLL_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline.passed:
                raise HeldError from None
            clock.SYSTEM.sleep(pause)
            pause = min(pause * 2, longest)
        else:
            return


def _flock_holder(path: Path) -> int:
    """The process that holds a flock on a file, as the kernel lists it; 0: none, or unknown."""
    status = os.stat(path)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and device in words and int(words[4]) > 0:
            return int(words[4])
    return 0


def _state_of(pid: int) -> str:
    """In a word: running, stopped, gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "gone"
    states = {"T": "stopped", "t": "stopped", "D": "waiting for a disk", "Z": "dead"}
    return states.get(fields[0], "running")


_boot: bytes | None = None
_open_files: weakref.WeakSet[LockFile] = weakref.WeakSet()


def _close_in_child() -> None:
    """A forked child shares its parent's flocks; it must not keep a dead parent's lock alive."""
    for one in list(_open_files):
        one.close()


os.register_at_fork(after_in_child=_close_in_child)
