"""The copies of the log's files on the members that can be reached: what they hold, read only.

Every frame is taken from the first copy in which it is whole and in its place in the chain, so
that damage to one copy is read past. `damaged` notes where that happened, for `mend` and `status`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from holdfast import errors
from holdfast.engines.embedded import log_file
from holdfast.engines.embedded.commit_lock import Mark
from holdfast.engines.embedded.log_file import Frame, Header, Name


class Tail(NamedTuple):
    """Where the valid frames of one copy end, and how long the copy is."""

    end: int
    sequence: int
    chain: bytes
    size: int


class LogCopies:
    """Reads the log. `roots`: the folders of the members by number."""

    def __init__(self, store: bytes, roots: dict[int, Path]) -> None:
        self.store = store
        self.roots = roots
        self.damaged: set[tuple[int, str]] = set()
        self.spot: Mark | None = None
        self._headers: dict[Name, Header] = {}

    def names(self) -> list[Name]:
        """The files over all members, in order; damaged or foreign ones left out."""
        found: set[Name] = set()
        for root in self.roots.values():
            with contextlib.suppress(OSError):
                found.update(log_file.list_names(root))
        return sorted(name for name in found if self.header(name) is not None)

    def header(self, name: Name) -> Header | None:
        """From the first member where it is whole."""
        known = self._headers.get(name)
        if known is not None:
            return known
        for number in self.roots:
            header = self._header_at(number, name)
            if header is not None:
                self._headers[name] = header
                return header
        return None

    def path(self, number: int, name: Name) -> Path:
        return log_file.folder_of(self.roots[number]) / str(name)

    def frames_after(self, sequence: int, chain: bytes) -> Iterator[Frame]:
        """The frames that follow (sequence, chain).

        Raises NotFoundError when the log does not reach back that far or holds another history, and
        IntegrityError when it ends before that position or cannot be followed to its end.
        """
        names = self.names()
        at, spot = self._start(names, sequence, chain)
        seen = spot is not None or sequence == names[at].first - 1
        for position in range(at, len(names)):
            cut = cut_of(names, position)
            for frame in self.frames_of(names[position], cut, spot):
                if frame.sequence > sequence:
                    sequence, chain = frame.sequence, frame.chain
                    self.spot = Mark(names[position], sequence, chain, frame.end)
                    yield frame
                elif frame.sequence == sequence:
                    if frame.chain != chain:
                        raise _other_history(sequence)
                    seen = True
            spot = None
            if not seen and cut is None:
                raise _ends_early(sequence)
            if cut is not None and sequence + 1 < cut:
                raise gap(sequence)

    def frames_of(
        self, name: Name, cut: int | None, spot: Mark | None = None
    ) -> Iterator[Frame]:
        """The frames of one file below sequence `cut`, from `spot` on where one is given."""
        header = self.header(name)
        assert header is not None
        offset, sequence, chain = log_file.HEADER_BYTES, name.first - 1, header.chain
        if spot is not None:
            offset, sequence, chain = spot.offset, spot.sequence, spot.chain
        with contextlib.ExitStack() as stack:
            copies = []
            for number in self.roots:
                with contextlib.suppress(OSError):
                    copies.append((number, stack.enter_context(reading(self.path(number, name)))))
            if not copies:
                raise _too_old(sequence)  # removed meanwhile: an image has what it held
            while cut is None or sequence + 1 < cut:
                frame = self._frame(copies, name, offset, sequence + 1, chain)
                if frame is None:
                    if cut is None and _goes_on(copies, offset, sequence + 1, name.nonce):
                        raise gap(sequence)
                    return
                yield frame
                offset, sequence, chain = frame.end, frame.sequence, frame.chain

    def tail_of(self, number: int, name: Name, cut: int | None = None) -> Tail | None:
        """Where a member's own copy ends; None when it has no valid one."""
        header = self._header_at(number, name)
        if header is None:
            return None
        offset, sequence, chain = log_file.HEADER_BYTES, name.first - 1, header.chain
        try:
            with reading(self.path(number, name)) as descriptor:
                while cut is None or sequence + 1 < cut:
                    frame = _good_frame(descriptor, offset, sequence + 1, chain, name.nonce)
                    if frame is None:
                        break
                    offset, sequence, chain = frame.end, frame.sequence, frame.chain
                return Tail(offset, sequence, chain, os.fstat(descriptor).st_size)
        except OSError:
            return None

    def bytes_after(self, sequence: int) -> int:
        """The sizes of the files that were begun after a commit, the newest one left out."""
        total = 0
        for name in self.names()[:-1]:
            if name.first > sequence:
                total += max((_size(self.path(number, name)) for number in self.roots), default=0)
        return total

    def same_size(self, name: Name) -> bool:
        """Has every member a copy, all of one length?"""
        sizes = {_size(self.path(number, name)) for number in self.roots}
        return len(sizes) == 1 and -1 not in sizes

    def _start(
        self, names: list[Name], sequence: int, chain: bytes
    ) -> tuple[int, Mark | None]:
        """(the file that holds what follows, where to start in it)."""
        usable = [at for at, name in enumerate(names) if name.first <= sequence + 1]
        if not usable:
            raise _too_old(sequence)
        at, spot = usable[-1], self.spot
        if spot is not None and (spot.sequence, spot.chain, spot.name) == (
                sequence, chain, names[at]):
            return at, spot
        if names[at].first == sequence + 1:
            header = self.header(names[at])
            if header is None or header.chain != chain:
                raise _other_history(sequence)
        return at, None

    def _frame(
        self, copies: list[tuple[int, int]], name: Name, offset: int, sequence: int, chain: bytes
    ) -> Frame | None:
        bad: list[tuple[int, int]] = []
        for number, descriptor in copies:
            frame = None
            with contextlib.suppress(OSError):
                frame = _good_frame(descriptor, offset, sequence, chain, name.nonce)
            if frame is not None:
                self._note(bad, frame, name)
                return frame
            bad.append((number, descriptor))
        return None

    def _note(self, bad: list[tuple[int, int]], frame: Frame, name: Name) -> None:
        """A copy that is long enough for a frame and does not have it whole is damaged."""
        for number, descriptor in bad:
            if os.fstat(descriptor).st_size >= frame.end:
                self.damaged.add((number, str(name)))

    def _header_at(self, number: int, name: Name) -> Header | None:
        try:
            with reading(self.path(number, name)) as descriptor:
                header = log_file.parse_header(os.pread(descriptor, log_file.HEADER_BYTES, 0))
        except OSError:
            return None
        if header is None or header.store != self.store or header.name != name:
            return None
        return header


def cut_of(names: list[Name], position: int) -> int | None:
    """The first sequence that belongs to a later file; None for the newest."""
    return min((name.first for name in names[position + 1 :]), default=None)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[int]:
    """A descriptor for reading. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def gap(sequence: int) -> errors.IntegrityError:
    """The error for a log that goes on somewhere, but not from here."""
    return errors.IntegrityError(
        "log.gap", "the commit log is damaged on every copy after commit {sequence}",
        hint="bring missing nodes back (holdfast status names them); to read what came before: "
        "open the store read-only", sequence=sequence,
    )


def _ends_early(sequence: int) -> errors.IntegrityError:
    return errors.IntegrityError(
        "log.behind_index", "the commit log ends before commit {sequence}, which was acknowledged",
        hint="bring missing nodes back (holdfast status names them); to read: open the store "
        "read-only", sequence=sequence,
    )


def _too_old(sequence: int) -> errors.NotFoundError:
    return errors.NotFoundError(
        "log.too_old", "the commit log no longer reaches back to commit {sequence}",
        hint="holdfast index rebuild starts from the newest image", sequence=sequence,
    )


def _other_history(sequence: int) -> errors.NotFoundError:
    return errors.NotFoundError(
        "log.other_history", "commit {sequence} of the index is not that of the commit log",
        hint="holdfast index rebuild starts from the commit log", sequence=sequence,
    )


def _good_frame(
    descriptor: int, offset: int, sequence: int, chain: bytes, nonce: int
) -> Frame | None:
    frame = log_file.read_frame(descriptor, offset, nonce=nonce)
    if frame is None or frame.sequence != sequence:
        return None
    return frame if log_file.chain_of(sequence, chain, frame.payload) == frame.chain else None


def _goes_on(copies: list[tuple[int, int]], offset: int, sequence: int, nonce: int) -> bool:
    """A torn tail is the end; damage with whole frames behind it is not."""
    for _, descriptor in copies:
        with contextlib.suppress(OSError):
            if log_file.whole_frame_behind(descriptor, offset, sequence, nonce=nonce):
                return True
    return False


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
