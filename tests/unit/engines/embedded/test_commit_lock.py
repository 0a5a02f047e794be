from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.engines.embedded import commit_lock, log_file
from holdfast.engines.embedded.commit_lock import CommitLock, LockFile, Mark
from holdfast.kit import clock

MARK = Mark(log_file.Name(2, 5, 99), 17, b"c" * 32, 8192)


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    made = [tmp_path / str(number) for number in range(3)]
    for root in made:
        (root / "log").mkdir(parents=True)
        commit_lock.create(root)
    return made


def lock_over(roots: list[Path], of: int = 3) -> CommitLock:
    files = [LockFile(number, root) for number, root in enumerate(roots, start=1)]
    return CommitLock(files, of // 2 + 1, of)


def test_a_mark_is_read_as_it_was_written(roots: list[Path]) -> None:
    one = LockFile(1, roots[0])

    one.write_mark(commit_lock.pack_mark(MARK, commit_lock.BUSY))

    assert LockFile(1, roots[0]).mark() == (MARK, commit_lock.BUSY, os.getpid(), True)
    assert LockFile(2, roots[1]).mark() is None


def test_a_mark_with_a_flipped_bit_is_none(roots: list[Path]) -> None:
    one = LockFile(1, roots[0])
    data = commit_lock.pack_mark(MARK, commit_lock.CLEAN)
    for position in range(len(data)):
        hurt = bytearray(data)
        hurt[position] ^= 1
        one.write_mark(bytes(hurt))

        assert one.mark() is None, position


def test_a_promise_is_kept_and_a_torn_one_is_none(roots: list[Path]) -> None:
    one = LockFile(1, roots[0])
    assert one.epoch() == 0

    one.promise(41)

    assert LockFile(1, roots[0]).epoch() == 41
    os.truncate(one.path, 20)
    assert one.epoch() == 0


def test_two_handles_of_one_process_exclude_each_other(roots: list[Path]) -> None:
    one, two = lock_over(roots), lock_over(roots)
    one.acquire(clock.Deadline(1))

    with pytest.raises(errors.UnavailableError) as raised:
        two.acquire(clock.Deadline(0.05))
    one.release()
    two.acquire(clock.Deadline(1))
    two.release()

    assert raised.value.code == "log.locked"
    assert raised.value.fields["pid"] == os.getpid()


def test_two_threads_of_one_handle_exclude_each_other(roots: list[Path]) -> None:
    lock = lock_over(roots)
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            lock.acquire(clock.Deadline(10))
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(most) == {1}


@contextmanager
def holder_in_another_process(roots: list[Path]) -> Iterator[int]:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            lock_over(roots).acquire(clock.Deadline(5))
            os.write(told, b".")
            time.sleep(60)
        finally:
            os._exit(0)
    os.read(ready, 1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)


def test_a_stopped_holder_is_named_with_its_state(roots: list[Path]) -> None:
    with holder_in_another_process(roots) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)

        with pytest.raises(errors.UnavailableError) as raised:
            lock_over(roots).acquire(clock.Deadline(0.05))

    assert raised.value.exit_code == 7
    assert str(raised.value) == f"the commit lock is held by process {pid}, which is stopped"


def test_the_lock_of_a_killed_process_is_free(roots: list[Path]) -> None:
    with holder_in_another_process(roots):
        pass

    lock = lock_over(roots)
    lock.acquire(clock.Deadline(1))
    lock.release()


def test_a_forked_child_does_not_keep_the_lock(roots: list[Path]) -> None:
    one = lock_over(roots)
    one.acquire(clock.Deadline(1))
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    one.close()

    try:
        other = lock_over(roots)
        other.acquire(clock.Deadline(1))
        other.release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_majority_is_enough_and_needed(roots: list[Path]) -> None:
    two_left = lock_over(roots[1:])
    two_left.acquire(clock.Deadline(1))
    two_left.release()

    with pytest.raises(errors.UnavailableError) as raised:
        lock_over(roots[2:]).acquire(clock.Deadline(1))

    assert raised.value.code == "log.no_majority"


def test_a_store_on_two_nodes_says_that_it_needs_both(roots: list[Path]) -> None:
    with pytest.raises(errors.UnavailableError) as raised:
        lock_over(roots[:1], of=2).acquire(clock.Deadline(1))

    assert raised.value.code == "log.needs_both"
    assert "three nodes" in raised.value.hint


def test_members_that_failed_are_passed_over(roots: list[Path]) -> None:
    lock = lock_over(roots)

    lock.acquire(clock.Deadline(1), without=frozenset({1}))

    assert [one.number for one in lock.held] == [2, 3]
    lock.release()


def test_a_lock_file_that_was_deleted_is_made_again_without_a_mark(roots: list[Path]) -> None:
    lock = lock_over(roots)
    lock.acquire(clock.Deadline(1))
    for one in lock.held:
        one.write_mark(commit_lock.pack_mark(MARK, commit_lock.CLEAN))
    assert lock.undisturbed(2)
    assert lock.left_cleanly()
    for root in roots:
        (root / "log" / "lock").unlink()
    assert not lock.undisturbed(2)
    lock.release()

    lock.acquire(clock.Deadline(1))

    assert lock.undisturbed(2)
    assert not lock.left_cleanly()
    lock.release()


def test_a_higher_promise_disturbs(roots: list[Path]) -> None:
    lock = lock_over(roots)
    lock.acquire(clock.Deadline(1))

    LockFile(1, roots[0]).promise(3)

    assert not lock.undisturbed(2)
    assert lock.undisturbed(3)
    lock.release()


def test_closing_ends_the_wait_of_a_thread_without_giving_it_the_lock(roots: list[Path]) -> None:
    holder, waiter = lock_over(roots), lock_over(roots)
    holder.acquire(clock.Deadline(1))
    told: list[str] = []

    def wait() -> None:
        try:
            waiter.acquire(None)
        except errors.UnavailableError as error:
            told.append(error.code)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    waiter.close()
    holder.release()
    thread.join(5)

    assert told == ["log.closed"]
    assert waiter.held == []
