"""The log as such: torn tails, damage, minorities, stale and failing members, crashes, fencing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.engines.embedded import log_cases
from tests.unit.engines.embedded.log_cases import FIRST, Crashed, Rig

from holdfast import errors
from holdfast.engines.embedded import commit_lock, commit_log, log_copies, log_file
from holdfast.kit import atomic

PAYLOADS = [b"frame %d of the log" % number for number in range(2, 6)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: hundreds of recoveries are hundreds of syncs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="holdfast-test-") as made:
        yield Path(made)


@pytest.fixture
def rig(folder: Path) -> Rig:
    """Five members with the first frame."""
    return Rig(folder / "store").prepare()


@pytest.fixture
def filled(rig: Rig) -> Rig:
    """With five frames in one file, left cleanly."""
    with rig.handle() as one:
        for payload in PAYLOADS:
            one.commit(payload)
    return rig


def test_commits_are_read_in_their_order_by_another_process(filled: Rig) -> None:
    assert filled.contents() == [FIRST, *PAYLOADS]
    assert len({path.read_bytes() for n in filled.numbers for path in filled.files(n)}) == 1


@pytest.mark.parametrize("torn", [1, 2, 3], ids=["one", "two", "all"])
def test_a_tail_torn_anywhere_is_brought_back_or_ends_the_log(torn: int, folder: Path) -> None:
    rig = Rig(folder / "store", count=3, tolerated=1).prepare()
    with rig.handle() as one:
        one.commit(b"known")
        one.die_after_append(b"never acknowledged")
    start = log_cases.frames(rig.files(1)[0])[-2].end
    expected = [FIRST, b"known"] + ([] if torn == 3 else [b"never acknowledged"])
    for length in range(start, rig.files(1)[0].stat().st_size):
        hurt = rig.copy_to(folder / "hurt")
        for number in hurt.numbers[:torn]:
            os.truncate(hurt.files(number)[0], length)

        with hurt.handle() as one:
            one.recover()

        assert hurt.contents() == expected, length
        if torn < 3:
            assert hurt.holders(b"never acknowledged") == 3


def test_damage_in_one_copy_is_read_past_and_mended(filled: Rig, folder: Path) -> None:
    path = filled.files(1)[0]
    second = log_cases.frames(path)[1]
    for offset in range(second.end - 80, second.end, 5):
        hurt = filled.copy_to(folder / "hurt")
        log_cases.flip(hurt.files(1)[0], offset)
        copies = hurt.copies()

        assert [one.payload for one in copies.frames_after(0, log_file.GENESIS)][1:] == PAYLOADS
        assert copies.damaged == {(1, path.name)}, offset

        with hurt.handle() as one, one.locked():
            one.log.recover(*one.position, trusted=False)
            one.log.settle()
        assert hurt.files(1)[0].read_bytes() == path.read_bytes(), offset


def test_copies_damaged_at_different_places_mend_each_other(filled: Rig) -> None:
    sound = filled.files(1)[0].read_bytes()
    for number in filled.numbers:
        log_cases.flip(filled.files(number)[0], log_cases.frames(filled.files(number)[0])[
            number % 4].end + 60)

    with filled.handle() as one, one.locked():
        one.log.recover(*one.position, trusted=False)
        one.log.settle()

    assert filled.contents() == [FIRST, *PAYLOADS]
    assert all(filled.files(number)[0].read_bytes() == sound for number in filled.numbers)


def test_damage_at_one_place_of_all_copies_is_an_error_and_nothing_is_changed(filled: Rig) -> None:
    for number in filled.numbers:
        log_cases.flip(filled.files(number)[0], log_cases.frames(filled.files(number)[0])[1].end + 60)
        log_cases.forge_boot(filled.root(number))
    before = filled.tree()

    with filled.handle() as one, pytest.raises(errors.IntegrityError) as raised:
        one.recover()

    assert raised.value.code == "log.gap"
    assert raised.value.fields["sequence"] == 2
    assert filled.tree() == before


def test_losing_the_last_acknowledged_frame_everywhere_is_noticed(filled: Rig) -> None:
    for number in filled.numbers:
        os.truncate(filled.files(number)[0], log_cases.frames(filled.files(number)[0])[-2].end)
    log_cases.forge_boot(filled.root(1))  # the marks do not agree, so the log is looked at

    with filled.handle() as one, pytest.raises(errors.IntegrityError) as raised:
        one.recover()

    assert raised.value.code == "log.gap"


def test_a_position_that_the_log_does_not_have_is_told(filled: Rig) -> None:
    copies = filled.copies()

    with pytest.raises(errors.IntegrityError) as raised:
        list(copies.frames_after(9, b"x" * 32))
    assert raised.value.code == "log.behind_index"
    with pytest.raises(errors.NotFoundError) as other:
        list(copies.frames_after(3, b"x" * 32))
    assert other.value.code == "log.other_history"


@pytest.mark.parametrize("count", [1, 2])
def test_what_a_minority_holds_is_on_all_before_recovery_returns(count: int, filled: Rig) -> None:
    with filled.handle() as one:
        one.die_after_append(b"on few members")
    end = log_cases.frames(filled.files(1)[0])[-2].end
    for number in filled.numbers[count:]:
        os.truncate(filled.files(number)[0], end)

    with filled.handle() as one, one.locked():
        assert filled.holders(b"on few members") == 5

    shutil.rmtree(filled.root(1))
    shutil.rmtree(filled.root(2))
    assert filled.contents() == [FIRST, *PAYLOADS, b"on few members"]


def test_a_file_begun_by_halves_never_cuts_off_the_one_after_it(folder: Path) -> None:
    for attempt in range(12):  # nonces are random, and decide how equals would be ordered
        rig = Rig(folder / str(attempt)).prepare()
        with rig.handle(_failing_once("log.begin", 3)) as one:
            for payload in PAYLOADS:
                one.commit(payload)
            with one.locked():
                one.log.image_taken((one.position[0], "ab", 1))
                one.log.settle()
            one.commit(b"behind the new file")

        assert rig.contents() == [FIRST, *PAYLOADS, b"behind the new file"]


def test_commits_go_on_without_members_that_fail_down_to_a_majority(filled: Rig) -> None:
    with filled.handle() as one:
        for gone in (4, 5):
            shutil.rmtree(filled.root(gone))
            _commit_again(one, b"without %d" % gone)
        shutil.rmtree(filled.root(1))
        with pytest.raises(errors.UnavailableError) as raised:
            _commit_again(one, b"impossible")

    assert raised.value.code == "log.no_majority"
    assert filled.contents()[-2:] == [b"without 4", b"without 5"]


@pytest.mark.parametrize("member", [1, 5], ids=["in the lock", "not in the lock"])
def test_a_member_that_was_taken_away_comes_back_caught_up(member: int, filled: Rig) -> None:
    away = filled.folder / "away"
    filled.root(member).rename(away)
    with filled.handle() as one:
        _commit_again(one, b"while it was away")
    away.rename(filled.root(member))

    with filled.handle() as one:
        with one.locked():
            assert one.log.wants_back()
            one.log.recover(*one.position, trusted=False)
            one.log.settle()
        one.commit(b"back again")

    assert filled.holders(b"while it was away") == filled.holders(b"back again") == 5
    assert filled.contents()[-2:] == [b"while it was away", b"back again"]


@pytest.mark.parametrize("member", [1, 5], ids=["in the lock", "not in the lock"])
def test_an_old_copy_of_a_member_breaks_nothing(member: int, filled: Rig) -> None:
    shutil.copytree(filled.root(member), filled.folder / "old")
    with filled.handle() as one:
        one.commit(b"a delete, say")
    shutil.rmtree(filled.root(member))
    (filled.folder / "old").rename(filled.root(member))

    with filled.handle() as one:
        _commit_again(one, b"one more")

    assert filled.contents() == [FIRST, *PAYLOADS, b"a delete, say", b"one more"]
    for number in filled.numbers:
        for path in filled.files(number):
            found = [frame.sequence for frame in log_cases.frames(path)]
            assert found == list(range(found[0], found[0] + len(found))) if found else True


def test_a_write_that_fails_midway_leaves_it_to_recovery(filled: Rig) -> None:
    with filled.handle(_failing_once("log.append", 2)) as one:
        with pytest.raises(commit_log.LogFailedError), one.locked():
            one.log.append(b"failed on one of five")
        with one.locked():
            assert one.log.survived()
            one.log.settle()

    assert filled.contents()[-1] == b"failed on one of five"
    assert _active(filled) == (1, 3, 4, 5)


def test_replaced_lock_files_are_noticed_after_the_append(filled: Rig) -> None:
    with filled.handle() as old, old.locked():
        for number in filled.numbers:
            (filled.root(number) / "log" / "lock").unlink()
        with filled.handle() as other:
            other.commit(b"by another process")

        with pytest.raises(commit_log.LogFailedError):
            old.log.append(b"too late")

    assert filled.contents() == [FIRST, *PAYLOADS, b"by another process"]


def test_a_write_that_comes_too_late_lands_where_nobody_reads(filled: Rig) -> None:
    with filled.handle() as one:
        one.commit(b"known")
        tail = one.log.tail
        assert tail is not None
        one.log.lock.close()
        for number in filled.numbers:
            (filled.root(number) / "log" / "lock").unlink()
    with filled.handle() as other:
        other.commit(b"by another process")

    frame, _ = log_file.pack_frame(
        tail.sequence + 1, tail.chain, b"from the frozen one", nonce=tail.name.nonce)
    for number in filled.numbers:
        with (filled.root(number) / "log" / str(tail.name)).open("ab") as file:
            file.write(frame)

    assert filled.contents()[-2:] == [b"known", b"by another process"]


def test_after_a_restart_even_tails_are_taken_as_they_are(filled: Rig) -> None:
    for number in filled.numbers:
        log_cases.forge_boot(filled.root(number))
    before = {number: filled.files(number) for number in filled.numbers}

    with filled.handle() as one:
        one.commit(b"after the restart")

    assert {number: filled.files(number) for number in filled.numbers} == before


def test_after_a_restart_uneven_tails_begin_a_new_epoch(filled: Rig) -> None:
    for number in filled.numbers:
        log_cases.forge_boot(filled.root(number))
    os.truncate(filled.files(4)[0], log_cases.frames(filled.files(4)[0])[-2].end)

    with filled.handle() as one:
        one.commit(b"after the restart")

    newest = log_file.parse_name(filled.files(1)[-1].name)
    assert newest is not None
    assert newest.epoch == 2
    assert filled.contents() == [FIRST, *PAYLOADS, b"after the restart"]


def test_a_missing_mark_begins_a_new_epoch(filled: Rig) -> None:
    for number in filled.numbers[:3]:
        os.truncate(filled.root(number) / "log" / "lock", 512)

    with filled.handle() as one:
        one.commit(b"fenced")

    assert len(filled.files(1)) == 2


def test_readers_are_told_of_a_commit_while_the_next_one_is_under_way(filled: Rig) -> None:
    with filled.handle() as writer, filled.handle() as reader:
        writer.commit(b"acknowledged")
        writer.die_after_append(b"under way")

        mark = reader.log.settled()
        assert mark is not None
        assert mark.sequence == writer.position[0]
        assert reader.log.newest_mark() is None


@pytest.mark.parametrize("again", [0, 3, 9, 17, 30], ids=lambda nth: f"then at {nth}")
def test_a_writer_killed_at_any_step_loses_nothing(again: int, folder: Path) -> None:
    origin = Rig(folder / "origin", count=3, tolerated=1).prepare()
    for nth in range(1, 500):
        rig = origin.copy_to(folder / "store")
        acknowledged, finished = _killed_at(rig, nth)
        if finished:
            break
        if again:
            _killed_at(rig, again)
        with rig.handle() as one:
            one.commit(b"last")

        found = rig.contents()
        known = [payload for payload in found if payload in acknowledged]
        assert known == acknowledged, nth
        assert found[-1] == b"last"
        assert len(set(found)) == len(found), nth
    assert nth > 20


def _killed_at(rig: Rig, nth: int) -> tuple[list[bytes], bool]:
    """(what was acknowledged, did it come to its end?)"""
    with rig.handle() as one:
        log_cases.crash_at(nth)
        number = len(rig.contents())
        try:
            one.commit(b"a%d" % number)
            with one.locked():
                one.log.image_taken((one.position[0], "ab", 1))
                one.log.settle()
            one.commit(b"b%d" % number)
            with one.locked():
                one.log.recover(*one.position, trusted=False)
                one.log.settle()
            one.commit(b"c%d" % number)
        except Crashed:
            return one.acknowledged, False
        return one.acknowledged, True


def _commit_again(one: log_cases.Handle, payload: bytes) -> None:
    """As the catalog does: after a failure take the lock anew and see what became of it."""
    for _ in range(4):
        try:
            with one.locked():
                if one.log.survived() and payload in _last(one.log.copies):
                    return
                one.log.attempted = None
                one.log.append(payload)
                one.log.settle()
                return
        except commit_log.LogFailedError:
            continue
    raise AssertionError(payload)


def _last(copies: log_copies.LogCopies) -> list[bytes]:
    return [frame.payload for frame in copies.frames_after(0, log_file.GENESIS)][-1:]


def _active(rig: Rig) -> tuple[int, ...]:
    copies = rig.copies()
    header = copies.header(copies.names()[-1])
    assert header is not None
    return header.active


def _failing_once(point: str, member: int) -> commit_log.Barrier:
    """A barrier whose first pass of `point` on `member` ends in an error of the disk."""
    left = [1]

    def barrier(jobs: commit_log.Jobs, need: int) -> dict[int, OSError]:
        wrapped = [(number, _hooked(job, point, left) if number == member else job)
                   for number, job in jobs]
        return log_cases.run(wrapped, need)

    return barrier


def _hooked(job: Callable[[], None], point: str, left: list[int]) -> Callable[[], None]:
    def run() -> None:
        passed: list[str] = []

        def hook(name: str) -> None:
            passed.append(name)
            if left and name.startswith(point):
                left.clear()
                raise OSError(5, "the disk says no")

        atomic.set_hook(hook)
        try:
            job()
        finally:
            atomic.set_hook(None)

    return run


def test_the_mark_keeps_what_the_lock_file_says(filled: Rig) -> None:
    seen = commit_lock.LockFile(1, filled.root(1)).mark()

    assert seen is not None
    assert (seen.mark.sequence, seen.state, seen.current_boot) == (5, commit_lock.CLEAN, True)
