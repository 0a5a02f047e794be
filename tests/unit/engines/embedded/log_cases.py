"""A commit log on real folders without an index over it, and ways to hurt it."""

from __future__ import annotations

import contextlib
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import xxhash

from holdfast.engines.embedded import commit_lock, commit_log, log_copies, log_file
from holdfast.engines.embedded.commit_lock import Mark
from holdfast.kit import atomic, clock

STORE = bytes(range(16))
FIRST = b"the first frame"


class Crashed(BaseException):
    """Raised at a crash point in place of the death of the process."""


class Rig:
    """The folders of a log's members; `handle` opens it as one more process would."""

    def __init__(self, folder: Path, count: int = 5, tolerated: int = 2) -> None:
        self.folder = folder
        self.tolerated = tolerated
        self.numbers = tuple(range(1, count + 1))

    def prepare(self) -> Rig:
        name = log_file.Name(1, 1, 77)
        header = log_file.pack_header(log_file.Header(
            STORE, name, log_file.GENESIS, self.numbers, self.numbers, self.tolerated, (0, "", 0)))
        frame, chain = log_file.pack_frame(1, log_file.GENESIS, FIRST, nonce=name.nonce)
        end = Mark(name, 1, chain, len(header) + len(frame))
        for number in self.numbers:
            (self.root(number) / "log").mkdir(parents=True)
            commit_lock.create(self.root(number))
            (self.root(number) / "log" / str(name)).write_bytes(header + frame)
            lock = commit_lock.LockFile(number, self.root(number))
            lock.promise(1)
            lock.write_mark(commit_lock.pack_mark(end, commit_lock.CLEAN))
            lock.close()
        return self

    def root(self, number: int) -> Path:
        return self.folder / f"n{number}"

    def files(self, number: int) -> list[Path]:
        return [self.root(number) / "log" / str(name)
                for name in log_file.list_names(self.root(number))]

    def copies(self) -> log_copies.LogCopies:
        return log_copies.LogCopies(STORE, {
            number: self.root(number) for number in self.numbers if self.root(number).exists()})

    def contents(self) -> list[bytes]:
        return [frame.payload for frame in self.copies().frames_after(0, log_file.GENESIS)]

    def holders(self, payload: bytes) -> int:
        """How many members have a frame in a file of their own."""
        return sum(
            any(payload in path.read_bytes() for path in self.files(number))
            for number in self.numbers
        )

    def tree(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*")) if path.is_file()
        }

    def copy_to(self, folder: Path) -> Rig:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Rig(folder, len(self.numbers), self.tolerated)

    @contextlib.contextmanager
    def handle(self, barrier: commit_log.Barrier | None = None) -> Iterator[Handle]:
        members = [
            commit_log.Member(number, f"{number:04d}", root if root.exists() else None)
            for number in self.numbers for root in (self.root(number),)
        ]
        one = Handle(commit_log.CommitLog(STORE, members, self.tolerated, barrier or run))
        try:
            yield one
        finally:
            atomic.set_hook(None)
            one.log.close()


class Handle:
    """What a process does with a log, with its payloads in place of an index."""

    def __init__(self, log: commit_log.CommitLog) -> None:
        self.log = log
        self.position: tuple[int, bytes] = (0, log_file.GENESIS)
        self.acknowledged: list[bytes] = []

    @contextlib.contextmanager
    def locked(self, *, settled: bool = True) -> Iterator[None]:
        self.log.acquire(clock.Deadline(5))
        try:
            mark = self.log.locked_mark()
            if mark is not None:
                self.log.adopt(mark)
            else:
                self.log.recover(*self.position, trusted=self.log.lock.left_cleanly())
                if settled:
                    self.log.settle()
            yield
        finally:
            self.log.lock.release()

    def commit(self, payload: bytes) -> None:
        with self.locked():
            mark = self.log.append(payload)
            self.log.settle()
            self.position = (mark.sequence, mark.chain)
            self.acknowledged.append(payload)

    def die_after_append(self, payload: bytes) -> None:
        """Append without an acknowledgement: the log stays marked busy."""
        with self.locked():
            self.log.append(payload)

    def recover(self) -> None:
        with self.locked():
            pass


def run(jobs: commit_log.Jobs, need: int) -> dict[int, OSError]:
    """A barrier without threads."""
    del need
    failures: dict[int, OSError] = {}
    for number, job in jobs:
        try:
            job()
        except OSError as error:
            failures[number] = error
    return failures


def crash_at(nth: int) -> list[str]:
    """Raise Crashed at the nth crash point from now (0: never); the points that were passed."""
    passed: list[str] = []

    def hook(name: str) -> None:
        passed.append(name)
        if len(passed) == nth:
            raise Crashed(name)

    atomic.set_hook(hook)
    return passed


def flip(path: Path, offset: int, bit: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([old ^ bit]))


def forge_boot(root: Path, boot: bytes = b"another boot...!") -> None:
    """Make the mark of a lock file one of another boot, as it is found after a restart."""
    path = root / "log" / "lock"
    at, length = commit_lock._MARK_AT, commit_lock._MARK.size
    with path.open("r+b") as file:
        file.seek(at)
        data = bytearray(file.read(length))
        data[8:24] = boot
        data[-8:] = struct.pack("<Q", xxhash.xxh3_64_intdigest(bytes(data[:-8])))
        file.seek(at)
        file.write(data)


def frames(path: Path) -> list[log_file.Frame]:
    """The whole frames of a file, one after the other."""
    name = log_file.parse_name(path.name)
    assert name is not None
    found: list[log_file.Frame] = []
    with log_copies.reading(path) as descriptor:
        offset = log_file.HEADER_BYTES
        while (frame := log_file.read_frame(descriptor, offset, nonce=name.nonce)) is not None:
            found.append(frame)
            offset = frame.end
    return found
