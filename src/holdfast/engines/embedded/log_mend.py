"""Bring the copies of the log's files to the same, whole contents. Used by recovery only."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.engines.embedded import log_copies, log_file
from holdfast.engines.embedded.log_copies import LogCopies
from holdfast.engines.embedded.log_file import Name
from holdfast.kit import atomic


def jobs(copies: LogCopies, numbers: list[int]) -> list[tuple[int, Callable[[], None]]]:
    """For each member what makes its copies of all files whole and durable.

    A member that the newest file is not written to may have failed a sync before: what its page
    cache holds is not trusted, and its copies are written anew.
    """
    names = copies.names()
    newest = copies.header(names[-1]) if names else None
    active = newest.active if newest is not None else ()
    uneven = {
        name: log_copies.cut_of(names, position) for position, name in enumerate(names)
        if name in names[-2:] or _is_damaged(copies, name) or not copies.same_size(name)
    }
    ends = {name: _end(copies, name, cut) for name, cut in uneven.items()}

    def job_of(number: int) -> Callable[[], None]:
        def job() -> None:
            for name, cut in uneven.items():
                tail = copies.tail_of(number, name, cut)
                if number in active and tail is not None and tail.end >= ends[name]:
                    with log_copies.reading(copies.path(number, name)) as descriptor:
                        atomic.sync(descriptor, point="log.mend.sync")
                else:
                    _rewrite(copies, number, name, cut)

        return job

    return [(number, job_of(number)) for number in numbers]


def _is_damaged(copies: LogCopies, name: Name) -> bool:
    return any(text == str(name) for _, text in copies.damaged)


def _end(copies: LogCopies, name: Name, cut: int | None) -> int:
    """Where the frames end that can be had from any copy."""
    end = log_file.HEADER_BYTES
    for frame in copies.frames_of(name, cut):
        end = frame.end
    return end


def _rewrite(copies: LogCopies, number: int, name: Name, cut: int | None) -> None:
    header = copies.header(name)
    assert header is not None
    path = copies.path(number, name)
    with atomic.replacing(path, point="log.mend") as descriptor:
        atomic.write(descriptor, log_file.pack_header(header), 0, point="log.mend.write")
        offset = log_file.HEADER_BYTES
        for frame in copies.frames_of(name, cut):
            data = log_file.frame_bytes(frame, nonce=name.nonce)
            atomic.write(descriptor, data, offset, point="log.mend.write")
            offset += len(data)
