"""Write small objects into segments: one thread gathers what waits, writes and syncs it once.

It runs beside the committing thread, so that the next batch is being made durable while the last
one is being committed. A segment has one writing process (a flock says so); when that process ends
another may go on with it, if all copies end where the commits say.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from holdfast import errors
from holdfast.engines.embedded import changes, node, segment
from holdfast.engines.embedded.apply import Record
from holdfast.engines.embedded.committer import Change, Committer
from holdfast.kit import atomic, clock, ids

Barrier = Callable[[Sequence[tuple[int, Callable[[], None]]]], Mapping[int, OSError]]

GROUP_BYTES_MAX = 8 << 20
PIPELINE_ITEMS = 48  # with as many waiting, a group is written while another is being committed
LINGER_S = 0.0004  # how long to wait for as many as came together last time
BUSY_WAIT_S = 1.0  # a commit that takes longer is not waited for any more in one go
RETIRE_WAIT_S = 60.0
FOLDER = "seg"


@dataclass(slots=True)
class SmallContent:
    """Content that waits for its place. After `placed`, (segment, position, end) are set, or error.

    `then` are the changes to commit once it is durable.
    """

    dataset: int
    path: bytes
    content: bytes
    then: Callable[[int, int, int], list[Change]]
    on_error: Callable[[BaseException], None]


@dataclass(frozen=True, slots=True)
class Home:
    """Where a new segment may be: chosen by the engine for a dataset."""

    segment: int
    protection: str
    group: int
    nodes: tuple[int, ...]
    quorum: int
    spares: Callable[[frozenset[int]], Iterator[int]]


class _Copy(NamedTuple):
    """One copy of the segment, open for appending."""

    path: str
    descriptor: int


@dataclass(slots=True)
class _Retiring:
    """A wish that the thread seals a segment."""

    number: int
    sealed: bool = False
    finished: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Open:
    """The segment that this process appends to for one dataset."""

    number: int
    dataset: int
    nodes: list[int]
    copies: dict[int, _Copy] = field(default_factory=dict)
    end: int = segment.HEADER_BYTES
    announced: bool = False
    records: list[Record] = field(default_factory=list)


class SegmentWriter:
    """Owns the writing thread and the open segments of this process."""

    def __init__(
        self, store: bytes, disks: Mapping[int, node.NodeDisk], committer: Committer, *,
        home: Callable[[int], Home],
        adoptable: Callable[[int], list[tuple[int, tuple[int, ...], int]]],
        barrier: Barrier, bytes_max: int = segment.SEGMENT_BYTES_MAX,
    ) -> None:
        """`home(dataset)` chooses where a new segment goes; `adoptable(dataset)` lists unsealed
        segments as (number, nodes, committed length); `barrier` runs one job a node, side by
        side, and gives the failures. A segment of `bytes_max` gets nothing more."""
        self._store = store
        self._disks = disks
        self._committer = committer
        self._home = home
        self._adoptable = adoptable
        self._barrier = barrier
        self._bytes_max = bytes_max
        self._waiting: deque[SmallContent] = deque()
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._expected = 1
        self._wanted = 1  # contents that must wait before the thread is woken
        committer.on_round(self._round_ended)
        self._segments: dict[int, _Open] = {}
        self._adopted: set[int] = set()
        self._retiring: deque[_Retiring] = deque()

    def submit(self, contents: Sequence[SmallContent]) -> None:
        with self._ready:
            self._waiting.extend(contents)
            self._start()
            self._ready.notify()

    def retire(self, number: int) -> bool:
        """Seal a segment that this process appends to; False when it does not."""
        if number not in self.open_segments():
            return False
        request = _Retiring(number)
        with self._ready:
            self._retiring.append(request)
            self._start()
            self._ready.notify()
        return request.finished.wait(RETIRE_WAIT_S) and request.sealed

    def finish(self) -> None:
        """Write what waits and end the thread; what it handed on is not committed yet."""
        with self._ready:
            self._closed = True
            self._ready.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=60)

    def close(self) -> None:
        """Let go of the segments, for others to go on with: after what is in them was committed."""
        self.finish()
        for opened in self._segments.values():
            _close_files(opened)
        self._segments = {}

    def open_segments(self) -> frozenset[int]:
        return frozenset(one.number for one in list(self._segments.values()))

    # --- inside: the thread -------------------------------------------------------------------

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="holdfast-segments", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._closed and not self._retiring:
                    self._ready.wait()
                if not self._waiting and not self._retiring:
                    return
                retiring = list(self._retiring)
                self._retiring.clear()
                if self._waiting:
                    self._let_others_come()
                group = self._take()
            for request in retiring:
                self._retire(request)
            by_dataset: dict[int, list[SmallContent]] = {}
            for one in group:
                by_dataset.setdefault(one.dataset, []).append(one)
            for dataset, contents in by_dataset.items():
                self._store_group(dataset, contents)

    def _retire(self, request: _Retiring) -> None:
        for opened in list(self._segments.values()):
            if opened.number == request.number:
                self._seal(opened)
                request.sealed = True
        request.finished.set()

    def _let_others_come(self) -> None:
        """A bigger group costs hardly more than a small one, so wait for it where that is free:
        while a commit is under way, and briefly for clients that were answered together."""
        while self._committer.busy and len(self._waiting) < PIPELINE_ITEMS and not self._closed:
            self._wait_for(PIPELINE_ITEMS, BUSY_WAIT_S)
        deadline = clock.Deadline(LINGER_S)
        while len(self._waiting) < self._expected and not self._closed:
            left_s = deadline.left_s()
            if not left_s:
                break
            self._wait_for(self._expected, left_s)
        self._expected = min(len(self._waiting), PIPELINE_ITEMS)

    def _wait_for(self, items: int, timeout_s: float) -> None:
        """Wait until so many are waiting, a commit has ended, or the time is over."""
        self._wanted = items
        self._ready.wait(timeout_s)
        self._wanted = 1

    def _round_ended(self) -> None:
        with self._ready:
            self._ready.notify()

    def _take(self) -> list[SmallContent]:
        group: list[SmallContent] = []
        size = 0
        while self._waiting and size < GROUP_BYTES_MAX:
            group.append(self._waiting.popleft())
            size += len(group[-1].content)
        return group

    def _store_group(self, dataset: int, contents: list[SmallContent]) -> None:
        try:
            opened, places = self._write_somewhere(dataset, contents)
        except BaseException as error:  # noqa: BLE001 - given to every client that waits for it
            for one in contents:
                one.on_error(error)
            return
        waiting: list[Change] = []
        if opened.records:
            waiting.append(changes.Recorded(opened.records))
            opened.records = []
        for one, (position, end) in zip(contents, places, strict=True):
            waiting.extend(one.then(opened.number, position, end))
        self._committer.submit(waiting)

    def _write_somewhere(
        self, dataset: int, contents: list[SmallContent]
    ) -> tuple[_Open, list[tuple[int, int]]]:
        """Write to the open segment; when a copy fails, seal it and go on in a fresh one."""
        full = False
        for _ in range(len(self._disks) + 1):
            opened = self._segment_for(dataset)
            parts, places, end = self._lay_out(opened, contents)
            failed = self._write_copies(opened, parts)
            if not failed:
                opened.end = end
                return opened, places
            self._seal(opened)
            full = any(error.errno in node.FULL for error in failed.values())
        if full:
            raise _too_few(0, 1, full=True)
        raise errors.UnavailableError(
            "write.too_few_nodes", "too few nodes can be written for dataset number {dataset}",
            hint="holdfast status shows which nodes fail", dataset=dataset,
        )

    def _lay_out(
        self, opened: _Open, contents: list[SmallContent]
    ) -> tuple[list[bytes], list[tuple[int, int]], int]:
        parts: list[bytes] = []
        places = []
        at = opened.end
        for one in contents:
            if not one.content:
                places.append((at, at))
                continue
            parts += segment.pack(self._store, opened.number, at, one.content, one.path)
            end = at + segment.stored_bytes(len(one.content), one.path)
            places.append((at, end))
            at = end
        return parts, places, at

    def _write_copies(self, opened: _Open, parts: list[bytes]) -> Mapping[int, OSError]:
        data = b"".join(parts)
        if not data:
            return {}
        jobs = [
            (number, _appender(self._disks[number], opened.copies[number], data, opened.end))
            for number in opened.nodes
        ]
        return self._barrier(jobs)

    # --- inside: segments ---------------------------------------------------------------------

    def _segment_for(self, dataset: int) -> _Open:
        opened = self._segments.get(dataset)
        if opened is not None and opened.end < self._bytes_max:
            return opened
        if opened is not None:
            self._seal(opened)
        fresh = self._adopt(dataset) or self._create(dataset)
        self._segments[dataset] = fresh
        return fresh

    def _seal(self, opened: _Open) -> None:
        """Append no more to a segment; one that was never announced goes away at once."""
        self._segments.pop(opened.dataset, None)
        if opened.records:
            self._remove(opened)
        elif opened.announced:
            self._committer.submit([changes.Recorded([["seal", opened.number]])])
        _close_files(opened)

    def _remove(self, opened: _Open) -> None:
        for number, copy in opened.copies.items():
            with contextlib.suppress(node.NodeFailed):
                self._disks[number].call(self._disks[number].remove, copy.path)

    def _adopt(self, dataset: int) -> _Open | None:
        """Go on with a segment that another process left behind whole. Once for each dataset."""
        if dataset in self._adopted:
            return None
        self._adopted.add(dataset)
        for number, nodes, length in self._adoptable(dataset):
            opened = _Open(number, dataset, list(nodes), end=length, announced=True)
            if self._take_over(opened):
                return opened
            _close_files(opened)
        return None

    def _take_over(self, opened: _Open) -> bool:
        sizes = set()
        for number in opened.nodes:
            disk = self._disks.get(number)
            if disk is None or disk.suspect is not None:
                return False
            try:
                path = str(self._path(disk, opened.number))
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                opened.copies[number] = _Copy(path, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                head = os.pread(descriptor, segment.HEADER_BYTES, 0)
                sound = segment.check_header(head, self._store, opened.number)
                sizes.add(os.fstat(descriptor).st_size if sound else -1)
            except OSError:
                return False
        if sizes != {max(opened.end, segment.HEADER_BYTES)}:
            self._committer.submit([changes.Recorded([["seal", opened.number]])])
            return False
        opened.end = max(opened.end, segment.HEADER_BYTES)
        return True

    def _create(self, dataset: int) -> _Open:
        home = self._home(dataset)
        opened = _Open(home.segment, dataset, [])
        tried: set[int] = set(home.nodes)
        candidates = deque(home.nodes)
        full = 0
        while candidates:
            number = candidates.popleft()
            try:
                self._create_copy(opened, number)
            except node.NodeFailed as failure:
                full += failure.full
                spare = next(home.spares(frozenset(tried)), None)
                if spare is not None:
                    tried.add(spare)
                    candidates.append(spare)
        if len(opened.nodes) < home.quorum:
            self._remove(opened)
            _close_files(opened)
            raise _too_few(len(opened.nodes), home.quorum, full=full > 0)
        opened.records = [["segment", opened.number, dataset, home.protection, home.group,
                           list(opened.nodes)]]
        opened.announced = True
        return opened

    def _create_copy(self, opened: _Open, number: int) -> None:
        disk = self._disks.get(number)
        if disk is None:
            raise node.NodeFailed("node.missing", number)
        header = segment.pack_header(self._store, opened.number, opened.dataset, disk.uuid_bytes)
        path = self._path(disk, opened.number)
        opened.copies[number] = _Copy(str(path), disk.call(_create, disk, path, header))
        opened.nodes.append(number)

    def _path(self, disk: node.NodeDisk, number: int) -> Path:
        return disk.root / FOLDER / segment.file_name(number)


def new_segment_id() -> int:
    """A random identity; segments and objects share one space of names in placement."""
    return ids.new_number()


def _create(disk: node.NodeDisk, path: Path, header: bytes) -> int:
    disk.check_sentinel()
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        atomic.write(descriptor, header, 0, point="segment.create")
        disk.sync(descriptor, point="segment.create.sync")
        disk.sync_folder(path.parent, point="segment.create.folder")
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)
        raise
    return descriptor


def _appender(disk: node.NodeDisk, copy: _Copy, data: bytes, offset: int) -> Callable[[], None]:
    def job() -> None:
        named, opened = os.stat(copy.path), os.fstat(copy.descriptor)
        if named.st_ino != opened.st_ino or opened.st_size != offset:
            raise OSError(f"{copy.path} is not the file that was opened, or not where it ended")
        atomic.write(copy.descriptor, data, offset, point="segment.append")
        try:
            disk.sync(copy.descriptor, point="segment.sync")
        except node.NodeFailed as failure:
            raise OSError(str(failure)) from failure

    return job


def _close_files(opened: _Open) -> None:
    for copy in opened.copies.values():
        with contextlib.suppress(OSError):
            os.close(copy.descriptor)
    opened.copies = {}


def _too_few(have: int, need: int, *, full: bool) -> errors.HoldfastError:
    if full:
        return changes.no_room()
    return errors.UnavailableError(
        "write.too_few_nodes_now", "only {have} of {need} needed nodes can be written",
        hint="holdfast status shows which nodes fail", have=have, need=need,
    )
