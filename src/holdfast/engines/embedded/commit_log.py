"""The commit log: a replicated chain of frames over the log's members, and how it recovers.

Used only by the holder of the commit lock, except `frames_after`, which reads. The rules:

- A commit is written to all active members and needs max(majority, F+1) durable copies, F being
  what the store's protections promise; where fewer are active, because some have failed already,
  it needs all of these. Active members are never fewer than a majority.
- An append goes to the current file of the current epoch, and only after the last holder left
  cleanly, which its mark in the lock files says. Otherwise `recover` first: find the longest valid
  chain on a majority, bring what only a minority holds to the others, promise a higher epoch and
  begin a new file. So a late write of a frozen process lands in a file whose end is already fixed.
- After the append the epoch and the lock files are looked at again, on the same nodes.
- A member whose write failed is out: the next file is begun without it, and the failed file is
  never written again; it comes back, caught up by whole files, when it can be reached.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from holdfast import errors
from holdfast.engines.embedded import commit_lock, log_file
from holdfast.engines.embedded.commit_lock import Mark
from holdfast.engines.embedded.log_file import Header, Name
from holdfast.kit import atomic, ids

FILE_BYTES_MAX = 64 << 20  # a new file begins when the current one is longer
COPY_BYTES = 1 << 20

Barrier = Callable[[list[tuple[int, Callable[[], None]]], int], dict[int, OSError]]
"""Runs one job a member, side by side, and returns the failures once `need` have succeeded."""


class Member(NamedTuple):
    number: int
    uuid: str
    root: Path | None  # None: the node is not there


class LogFailedError(Exception):
    """An append did not reach its quorum, or the locks were disturbed: the outcome is unknown."""


class CommitLog:
    """`barrier` runs jobs of members in parallel with the store's deadline."""

    def __init__(
        self, store: bytes, members: list[Member], tolerated: int, barrier: Barrier
    ) -> None:
        self.store = store
        self.members = sorted(members, key=lambda one: one.uuid)
        self.tolerated = tolerated
        self.majority = len(members) // 2 + 1
        self.need = self.majority  # members; each append is on *all* active ones, see _write_frame
        self.active: tuple[int, ...] = ()
        self.tail: Mark | None = None
        self.image: tuple[int, str, int] = (0, "", 0)
        self.damaged: set[tuple[int, str]] = set()
        self._barrier = barrier
        self._excluded: set[int] = set()
        self._last_marks: tuple[list[bytes], Mark | None] = ([], None)
        self._roots = {one.number: one.root for one in members if one.root is not None}
        self._open: dict[int, _LogCopy] = {}
        self._written: tuple[bytes, Mark | None] = (b"", None)
        self.lock = commit_lock.CommitLock(
            [commit_lock.LockFile(one.number, one.root) for one in self.members if one.root],
            self.majority,
        )

    # --- reading ------------------------------------------------------------------------------

    def newest_mark(self) -> Mark | None:
        """Where the log ends by the marks of a majority, if all agree that the holder left cleanly.

        Cheap: one small read a member. A BUSY mark of this boot counts as the position before it.
        """
        known, mark = self._last_marks
        try:
            if known and known == [one.mark_bytes() for one in self.lock.files[: self.majority]]:
                return mark
        except OSError:
            pass
        return self._newest_mark()

    def _newest_mark(self) -> Mark | None:
        """Judge the marks anew, and remember their bytes."""
        raw: list[bytes] = []
        with contextlib.suppress(OSError):
            raw = [one.mark_bytes() for one in self.lock.files[: self.majority]]
        mark = self._judge_marks()
        self._last_marks = (raw, mark)
        return mark

    def _judge_marks(self) -> Mark | None:
        """The newest mark of a majority, when it is clean and of this boot."""
        seen = self._marks(self.lock.files[: self.majority])
        if len(seen) < self.majority:
            seen = self._marks(self.lock.files)
        if len(seen) < self.majority or not all(one.current_boot for one in seen):
            return None
        newest = max(seen, key=lambda one: (one.mark.name.epoch, one.mark.sequence))
        return newest.mark if newest.state == commit_lock.CLEAN else None

    def frames_after(self, sequence: int, chain: bytes) -> Iterator[tuple[log_file.Frame, Name]]:
        """The valid frames that follow (sequence, chain), each read from any good member.

        Raises IntegrityError when the log cannot be followed up to its newest file, and
        NotFoundError when it no longer reaches back that far.
        """
        files = self._files()
        usable = [name for name in files if name.first <= sequence + 1]
        if not usable:
            raise errors.NotFoundError(
                "log.too_old", "the commit log no longer reaches back to commit {sequence}",
                hint="holdfast index rebuild starts from the newest image", sequence=sequence,
            )
        start = files.index(max(usable, key=lambda name: (name.first, name.epoch)))
        while start > 0 and files[start].first == sequence + 1:
            start -= 1  # an earlier file of the same range may hold the frame before it
        for position in range(start, len(files)):
            following = files[position + 1 :]
            end = min((name.first for name in following), default=None)
            for frame in self._frames_of(files[position], end):
                if frame.sequence <= sequence:
                    continue
                if frame.sequence != sequence + 1:
                    break
                if log_file.chain_of(frame.sequence, chain, frame.payload) != frame.chain:
                    break
                sequence, chain = frame.sequence, frame.chain
                yield frame, files[position]
            if end is not None and sequence + 1 < end:
                raise _gap(sequence)

    def adopt(self, mark: Mark) -> None:
        """Take the log's end from a clean mark, after `frames_after` or the index confirmed it."""
        if self.tail is None or self.tail.name != mark.name or not self.active:
            header = self._header(mark.name)
            if header is None:
                raise LogFailedError("no header of the current file")
            self._close_files()
            self.active, self.image = header.active, header.image
        self.tail = mark

    # --- writing (commit lock held) -------------------------------------------------------------

    def died_midway(self) -> bool:
        """Did a holder of this boot leave the log marked busy?"""
        return any(
            one.state == commit_lock.BUSY and one.current_boot
            for one in self._marks(self.lock.held)
        )

    def locked_mark(self) -> Mark | None:
        """The common clean mark of the locked members; None: recovery is needed."""
        known, mark = self._written
        with contextlib.suppress(OSError):
            if mark is not None and all(one.mark_bytes() == known for one in self.lock.held):
                return mark
        seen = self._marks(self.lock.held)
        if len(seen) < len(self.lock.held) or not seen:
            return None
        first = seen[0]
        agreed = all(
            one.mark == first.mark and one.state == commit_lock.CLEAN and one.current_boot
            for one in seen
        )
        return first.mark if agreed else None

    def append(self, payload: bytes) -> Mark:
        """One frame, durable on the quorum. The lock stays marked busy until `settle`.

        Raises LogFailedError when the outcome is unknown; recovery then decides it.
        """
        assert self.tail is not None
        if self.tail.offset > FILE_BYTES_MAX:
            self.begin_file(self.tail.name.epoch)
        tail = self.tail
        frame, chain = log_file.pack_frame(tail.sequence + 1, tail.chain, payload)
        self._write_marks(tail, commit_lock.BUSY)
        failures = self._write_frame(frame, tail)
        if failures:
            self._excluded.update(failures)
            raise LogFailedError(f"members {sorted(failures)} failed")
        if not self.lock.undisturbed(tail.name.epoch):
            raise LogFailedError("another process took over")
        self.tail = Mark(tail.name, tail.sequence + 1, chain, tail.offset + len(frame))
        return self.tail

    def settle(self) -> None:
        """The index has what was appended: mark the log clean."""
        assert self.tail is not None
        self._write_marks(self.tail, commit_lock.CLEAN)

    def recover(self, sequence: int, chain: bytes, *, died_midway: bool) -> Mark:
        """Make the longest valid chain the log, on all members that can be reached.

        Unless a writer died midway, nothing is written when all active members end alike.
        `sequence`, `chain`: a position that is known to be in the log (of the index, or genesis).

        Returns the tail, already adopted; the lock stays marked busy until `settle`.
        """
        for frame, _ in self.frames_after(sequence, chain):
            sequence, chain = frame.sequence, frame.chain
        even = None if died_midway else self._even_tail(sequence, chain)
        if even is not None:
            self.adopt(even)
            return even
        epoch = self._promise()
        good = self._even_out()
        self.tail = Mark(Name(0, 0, 0), sequence, chain, 0)
        self.active = good
        self.begin_file(epoch)
        return self.tail

    def begin_file(self, epoch: int) -> None:
        """Start the next file after the tail on the active members; raises when too few can."""
        assert self.tail is not None
        name = Name(epoch, self.tail.sequence + 1, ids.new_number())
        header = log_file.pack_header(Header(
            self.store, name, self.tail.chain, tuple(one.number for one in self.members),
            self.active, self.tolerated, self.image))
        failures = self._barrier(
            [(number, _creator(self._roots[number], name, header)) for number in self.active],
            len(self.active),
        )
        if failures:
            self.active = tuple(one for one in self.active if one not in failures)
            self._need_quorum(len(self.active))
            self.begin_file(epoch)
            return
        self._close_files()
        self.tail = Mark(name, self.tail.sequence, self.tail.chain, log_file.HEADER_BYTES)
        self._write_marks(self.tail, commit_lock.BUSY)

    def missing_active(self) -> bool:
        """Is there a reachable member that the current file is not written to?"""
        return any(
            number not in self.active and number not in self._excluded
            and commit_lock.LockFile(number, root).path.exists()
            for number, root in self._roots.items()
        )

    def truncate(self, keep_from: int) -> None:
        """Remove files all of whose frames come before sequence `keep_from`."""
        files = self._files()
        for name, following in itertools.pairwise(files):
            if following.first <= keep_from:
                for root in self._roots.values():
                    atomic.remove(log_file.folder_of(root) / str(name), point="log.truncate")

    def root_of(self, number: int) -> Path:
        return self._roots[number]

    def roots(self) -> list[Path]:
        """The folders of the members that can be reached."""
        return list(self._roots.values())

    def close(self) -> None:
        self._close_files()
        for one in self.lock.files:
            one.close()

    # --- helpers ----------------------------------------------------------------------------

    def _marks(self, files: list[commit_lock.LockFile]) -> list[commit_lock.SeenMark]:
        found = []
        for one in files:
            with contextlib.suppress(OSError):
                seen = one.mark()
                if seen is not None:
                    found.append(seen)
        return found

    def _write_marks(self, mark: Mark, state: int) -> None:
        data = commit_lock.pack_mark(mark, state)
        for one in self.lock.held:
            with contextlib.suppress(OSError):
                one.write_mark(data)
        self._written = (data, mark if state == commit_lock.CLEAN else None)

    def _write_frame(self, frame: bytes, tail: Mark) -> dict[int, OSError]:
        """Write it to every active member, and sync as many as a commit needs, in turn.

        The others are synced by one of the next commits; until then they are ahead of their disk,
        which is no worse than a member that is behind.
        """
        durable = max(self.majority, min(self.tolerated + 1, len(self.active)))
        turn = tail.sequence % len(self.active)
        ordered = self.active[turn:] + self.active[:turn]
        jobs = [
            (number, self._appender(number, frame, tail, synced=position < durable))
            for position, number in enumerate(ordered)
        ]
        return self._barrier(jobs, len(self.active))

    def _appender(
        self, number: int, frame: bytes, tail: Mark, *, synced: bool
    ) -> Callable[[], None]:
        def job() -> None:
            opened = self._open.get(number)
            if opened is None:
                opened = self._open[number] = _LogCopy(str(self._path(number, tail.name)))
            opened.check_end(tail.offset)
            atomic.write(opened.descriptor, frame, tail.offset, point="log.append")
            if synced:
                atomic.sync(opened.descriptor, point="log.sync")

        return job

    def _promise(self) -> int:
        """A new epoch, promised durably by the locked majority."""
        epochs = [one.epoch() for one in self.lock.held]
        epochs += [name.epoch for name in self._files()]
        epoch = max(epochs, default=0) + 1
        for one in self.lock.held:
            try:
                one.promise(epoch)
            except OSError as error:
                raise LogFailedError(f"promise on node {one.number}") from error
        return epoch

    def _even_tail(self, sequence: int, chain: bytes) -> Mark | None:
        """The end of the newest file, if every active member ends there, at this position."""
        files = self._files()
        header = self._header(files[-1]) if files else None
        if header is None or any(number not in self._roots for number in header.active):
            return None
        ends = {_tail_of(self._path(number, files[-1])) for number in header.active}
        if len(ends) != 1:
            return None
        end, last, last_chain, size = ends.pop()
        if (last, last_chain, size) != (sequence, chain, end):
            return None
        return Mark(files[-1], sequence, chain, end)

    def _even_out(self) -> tuple[int, ...]:
        """Give every reachable member whole copies of all files; the members that now have them."""
        files = self._files()
        cuts = {
            name: min((one.first for one in files[position + 1 :]), default=None)
            for position, name in enumerate(files)
        }
        uneven = [name for name in files if name in files[-2:] or not self._same_size(name)]
        ends = {
            (number, name): _tail_of(self._path(number, name), cuts[name])[0]
            for number in self._roots for name in uneven if number not in self._excluded
        }

        def mender(number: int) -> Callable[[], None]:
            def job() -> None:
                for name in uneven:
                    longest = max(end for (_, other), end in ends.items() if other == name)
                    self._mend_file(number, name, cuts[name], ends[number, name] >= longest)

            return job

        wanted = [number for number in self._roots if number not in self._excluded]
        failures = self._barrier([(number, mender(number)) for number in wanted], len(wanted))
        self._excluded.update(failures)
        good = tuple(sorted(number for number in wanted if number not in failures))
        self._need_quorum(len(good))
        return good

    def _same_size(self, name: Name) -> bool:
        sizes = set()
        for number in self._roots:
            try:
                sizes.add(os.stat(self._path(number, name)).st_size)
            except OSError:
                return False
        return len(sizes) == 1

    def _mend_file(self, number: int, name: Name, cut: int | None, whole: bool) -> None:  # noqa: FBT001
        """Make this member's copy durable, or replace it when it lacks what another copy has."""
        path = self._path(number, name)
        if whole:
            with contextlib.closing(_Descriptor(path)) as opened:
                atomic.sync(opened.number, point="log.mend.sync")
            return
        frames = list(self._frames_of(name, cut))
        self.damaged.add((number, str(name)))
        self._rewrite(path, name, frames)

    def _path(self, number: int, name: Name) -> Path:
        return log_file.folder_of(self._roots[number]) / str(name)

    def _rewrite(self, path: Path, name: Name, frames: list[log_file.Frame]) -> None:
        header = self._header(name)
        assert header is not None
        with atomic.replacing(path, point="log.mend") as descriptor:
            atomic.write(descriptor, log_file.pack_header(header), 0, point="log.mend.write")
            offset = log_file.HEADER_BYTES
            for frame in frames:
                data = log_file.frame_bytes(frame)
                atomic.write(descriptor, data, offset, point="log.mend.write")
                offset += len(data)

    def _files(self) -> list[Name]:
        """The files of the log over all members, in order; damaged or never begun ones left out."""
        found: set[Name] = set()
        for root in self._roots.values():
            with contextlib.suppress(OSError):
                found.update(log_file.list_names(root))
        return sorted(name for name in found if self._header(name) is not None)

    def _header(self, name: Name) -> Header | None:
        for root in self._roots.values():
            with contextlib.suppress(OSError):
                path = log_file.folder_of(root) / str(name)
                with path.open("rb") as file:
                    header = log_file.parse_header(file.read(log_file.HEADER_BYTES))
                if header is not None and header.store == self.store and header.name == name:
                    return header
        return None

    def _frames_of(self, name: Name, cut: int | None) -> Iterator[log_file.Frame]:
        """The frames of one file, below sequence `cut`, each from the first copy where it is whole."""
        with contextlib.ExitStack() as stack:
            copies = []
            for number, root in self._roots.items():
                with contextlib.suppress(OSError):
                    opened = _Descriptor(log_file.folder_of(root) / str(name))
                    stack.callback(opened.close)
                    copies.append((number, opened.number))
            offset, expected = log_file.HEADER_BYTES, name.first
            while cut is None or expected < cut:
                frame = self._frame_from_any(copies, offset, expected, name)
                if frame is None:
                    self._refuse_gap(copies, offset, expected, cut)
                    return
                yield frame
                offset, expected = frame.end, expected + 1

    def _refuse_gap(
        self, copies: list[tuple[int, int]], offset: int, expected: int, cut: int | None
    ) -> None:
        """A torn tail is the end; damage with later frames behind it, on every copy, is not."""
        if cut is None and any(
            log_file.valid_frame_after(descriptor, offset, expected) for _, descriptor in copies
        ):
            raise _gap(expected - 1)

    def _frame_from_any(
        self, copies: list[tuple[int, int]], offset: int, expected: int, name: Name
    ) -> log_file.Frame | None:
        for number, descriptor in copies:
            try:
                frame = log_file.read_frame(descriptor, offset)
            except OSError:
                frame = None
            if frame is not None and frame.sequence == expected:
                return frame
            self.damaged.add((number, str(name)))
        return None

    def _need_quorum(self, have: int) -> None:
        if have < self.need:
            raise errors.UnavailableError(
                "log.no_quorum", "only {have} of {need} needed copies of the commit log can be "
                "written; nothing can be changed", have=have, need=self.need,
                hint="holdfast status shows which nodes are missing; bring one back",
            )

    def _close_files(self) -> None:
        for opened in self._open.values():
            with contextlib.suppress(OSError):
                opened.close()
        self._open = {}


def _gap(sequence: int) -> errors.IntegrityError:
    return errors.IntegrityError(
        "log.gap", "the commit log is damaged on every copy after commit {sequence}",
        hint="holdfast status names the nodes; bring missing ones back", sequence=sequence,
    )


class _LogCopy:
    """One member's copy of the current file, open for appending."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._path = path
        opened = os.fstat(self.descriptor)
        self._identity = (opened.st_dev, opened.st_ino)

    def check_end(self, offset: int) -> None:
        """Raises OSError when the path names another file, or it does not end at `offset`."""
        named = os.stat(self._path)
        if (named.st_dev, named.st_ino) != self._identity or named.st_size != offset:
            raise OSError(f"{self._path} is not the file that was begun, or not where it ended")

    def close(self) -> None:
        os.close(self.descriptor)


class _Descriptor:
    """A file opened for reading that closes itself."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.number)


def _creator(root: Path, name: Name, header: bytes) -> Callable[[], None]:
    def job() -> None:
        folder = log_file.folder_of(root)
        atomic.write_file(folder / str(name), header, point="log.begin")

    return job


def _tail_of(path: Path, cut: int | None = None) -> tuple[int, int, bytes, int]:
    """(end, sequence, chain, size) of the valid frames of a copy; zeros without a valid header."""
    nothing = (0, 0, b"", 0)
    try:
        with contextlib.closing(_Descriptor(path)) as opened:
            header = log_file.parse_header(os.pread(opened.number, log_file.HEADER_BYTES, 0))
            if header is None:
                return nothing
            offset, sequence, chain = log_file.HEADER_BYTES, header.name.first - 1, header.chain
            while cut is None or sequence + 1 < cut:
                frame = log_file.read_frame(opened.number, offset)
                if frame is None or frame.sequence != sequence + 1:
                    break
                if log_file.chain_of(frame.sequence, chain, frame.payload) != frame.chain:
                    break
                offset, sequence, chain = frame.end, frame.sequence, frame.chain
            return offset, sequence, chain, os.fstat(opened.number).st_size
    except OSError:
        return nothing
