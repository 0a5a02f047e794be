"""The index is never trusted beyond the log: whatever happens to it, answers stay right."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from tests.unit.engines.embedded import catalog_cases as cases
from tests.unit.engines.embedded import log_cases

from holdfast import errors
from holdfast.engines.embedded import commit_lock, log_file
from holdfast.kit import atomic


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with cases.memory_folder(tmp_path) as made:
        yield made


@pytest.fixture
def store(folder: Path) -> Path:
    """Five nodes with eight objects."""
    return cases.prepare(folder / "store")


def delete(store: Path) -> None:
    for path in (store / "state").glob("index*"):
        path.unlink()


def empty(store: Path) -> None:
    os.truncate(cases.index_file(store), 0)


def halve(store: Path) -> None:
    os.truncate(cases.index_file(store), cases.index_file(store).stat().st_size // 2)


def garble(store: Path) -> None:
    path = cases.index_file(store)
    path.write_bytes(bytes(byte ^ 0x5A for byte in path.read_bytes()))


def remove_state(store: Path) -> None:
    shutil.rmtree(store / "state")


def replace_by_another_stores(store: Path) -> None:
    other = cases.prepare(store.parent / "other", count=3)
    shutil.copy(cases.index_file(other), cases.index_file(store))


def replace_by_an_older_one(store: Path) -> None:
    path = cases.index_file(store)
    older = path.read_bytes()
    one = cases.open_store(store)
    one.delete("/data/folder/0")
    one.put("/data/folder/0", b"content 0")
    one.close()
    path.write_bytes(older)


HURT: dict[str, Callable[[Path], None]] = {
    "deleted": delete, "emptied": empty, "halved": halve, "garbled": garble,
    "state folder removed": remove_state, "another store's": replace_by_another_stores,
    "an older one": replace_by_an_older_one,
}


@pytest.mark.parametrize("name", HURT)
def test_a_store_is_right_whatever_was_done_to_its_closed_index(name: str, store: Path) -> None:
    HURT[name](store)

    one = cases.open_store(store)
    read = cases.contents(one)
    one.put("/data/more", b"more")
    told = cases.dump_of(one)
    one.close()

    assert read == cases.expected()
    assert told == cases.rebuilt(store)


@pytest.mark.parametrize("name", ["deleted", "emptied", "halved", "garbled",
                                  "state folder removed"])
def test_a_store_is_right_whatever_was_done_to_its_open_index(name: str, store: Path) -> None:
    one = cases.open_store(store)
    one.put("/data/before", b"before")
    HURT[name](store)

    one.put("/data/more", b"more")
    read = cases.contents(one)
    one.close()
    again = cases.open_store(store)
    told = cases.dump_of(again)
    assert cases.contents(again) == read == cases.expected(before=b"before", more=b"more")
    again.close()

    assert told == cases.rebuilt(store)


def test_a_flipped_bit_anywhere_in_the_index_never_shows(store: Path, folder: Path) -> None:
    sound = cases.index_file(store).read_bytes()
    for offset in range(40, len(sound), 4096 + 130):
        log_cases.flip(cases.index_file(store), offset, bit=4)

        one = cases.open_store(store)
        read = cases.contents(one)
        one.put("/data/folder/0", b"content 0", overwrite=True)
        one.close()

        assert read == cases.expected(), offset
    again = cases.open_store(store)
    told = cases.dump_of(again)
    again.close()
    assert told == cases.rebuilt(store)


def test_an_index_of_another_history_is_not_believed(store: Path, folder: Path) -> None:
    shutil.copytree(store, folder / "fork", symlinks=True)
    for place, data in ((store, b"one"), (folder / "fork", b"two")):
        one = cases.open_store(place)
        one.put("/data/more", data)
        one.close()
    shutil.rmtree(store / "state")
    shutil.copytree(folder / "fork" / "state", store / "state", symlinks=True)

    one = cases.open_store(store)
    read = cases.contents(one)
    told = cases.dump_of(one)
    one.close()

    assert read == cases.expected(more=b"one")
    assert told == cases.rebuilt(store)


def test_two_state_folders_see_each_others_commits_at_once(store: Path) -> None:
    one, two = cases.open_store(store), cases.open_store(store, state="two")
    for number in range(6):
        writer, reader = (one, two) if number % 2 else (two, one)
        writer.put(f"/data/n{number}", b"%d" % number)
        with reader.get(f"/data/n{number}") as source:
            assert source.read() == b"%d" % number
        reader.delete(f"/data/n{number}")
        with pytest.raises(errors.NotFoundError):
            writer.stat(f"/data/n{number}")
    told = [cases.dump_of(each) for each in (one, two)]
    one.close()
    two.close()
    again = cases.open_store(store)
    after = cases.dump_of(again)
    again.close()

    assert told[0] == told[1]
    assert after == cases.rebuilt(store)


def test_two_state_folders_may_be_used_at_the_same_time(store: Path) -> None:
    opened = [cases.open_store(store, state=f"s{number}") for number in range(2)]
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for count in range(8):
                path = f"/data/t{number}-{count}"
                opened[number % 2].put(path, path.encode())
                with opened[(number + 1) % 2].get(path) as source:
                    assert source.read() == path.encode()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [cases.contents(one) for one in opened]
    for one in opened:
        one.close()

    assert failed == []
    assert found[0] == found[1]
    assert len(found[0]) == 8 + 4 * 8


@pytest.mark.parametrize("state", ["up to date", "behind", "absent", "in use"])
def test_a_read_only_open_changes_nothing_and_sees_everything(state: str, store: Path) -> None:
    writer = cases.open_store(store, state="state" if state in ("up to date", "in use") else "w")
    writer.put("/data/more", b"more")
    if state != "in use":
        writer.close()
    if state == "absent":
        shutil.rmtree(store / "state")
    before = cases.snapshot_of(store)

    reader = cases.open_store(store, read_only=True)
    listed = [info.path for info in reader.list_objects("/data")]
    told = cases.dump_of(reader)
    reader.close()

    assert cases.snapshot_of(store) == before
    assert len(listed) == 9
    if state == "in use":
        writer.close()
    assert told == cases.rebuilt(store)


def test_a_read_only_open_follows_what_others_commit(store: Path) -> None:
    reader = cases.open_store(store, read_only=True)
    writer = cases.open_store(store)
    for number in range(3):
        writer.put(f"/data/n{number}", b"%d" % number)
        with reader.get(f"/data/n{number}") as source:
            assert source.read() == b"%d" % number
    writer.close()
    reader.close()


def test_a_gap_in_the_log_leaves_a_store_that_is_read_only_up_to_it(store: Path) -> None:
    shutil.rmtree(store / "state")
    logs = sorted(store.glob("d*/log/*.log"))
    for path in logs:
        frames = log_cases.frames(path)
        log_cases.flip(path, frames[-3].end + 60)
        log_cases.forge_boot(path.parent.parent)
    before = {path: path.read_bytes() for path in logs}

    with pytest.raises(errors.IntegrityError) as raised:
        cases.open_store(store)
    reader = cases.open_store(store, read_only=True)
    listed: list[str] = []
    with pytest.raises(errors.IntegrityError) as told:
        listed.extend(info.path for info in reader.list_objects("/data"))
    incomplete = reader.opened().catalog.incomplete
    reader.close()

    assert raised.value.code == told.value.code == "log.gap"
    assert incomplete is not None
    assert incomplete.code == "log.gap"
    assert 0 < len(listed) < 8
    assert {path: path.read_bytes() for path in logs} == before


def test_an_index_that_knows_more_than_the_log_is_not_thrown_away(store: Path) -> None:
    for path in store.glob("d*/log/*.log"):
        os.truncate(path, log_cases.frames(path)[-2].end)
        log_cases.forge_boot(path.parent.parent)

    with pytest.raises(errors.IntegrityError) as raised:
        cases.open_store(store)
    reader = cases.open_store(store, read_only=True)
    seen = cases.contents(reader)
    reader.close()

    assert raised.value.code == "log.behind_index"
    assert seen == cases.expected()


def test_what_a_minority_holds_is_not_applied_before_the_others_have_it(store: Path) -> None:
    one = cases.open_store(store)
    before = one.opened().catalog.seen
    _leave_on_one_member(one, store)
    one.close()
    shutil.rmtree(store / "state")

    def hook(name: str) -> None:
        if name.startswith("log.mend"):
            raise OSError(28, "no space")

    atomic.set_hook(hook)
    try:
        with pytest.raises(errors.UnavailableError) as raised:
            again = cases.open_store(store)
            again.put("/data/x", b"x")
    finally:
        atomic.set_hook(None)
    applied = _position_of(store)

    assert raised.value.code == "log.no_quorum"
    assert applied <= before


def test_a_child_uses_the_store_and_does_not_keep_the_parents_lock(store: Path) -> None:
    one = cases.open_store(store)
    one.put("/data/parent", b"parent")
    reading, writing = os.pipe()
    waiting, waking = os.pipe()
    with one.opened().catalog.exclusive(None):
        child = os.fork()
        if child == 0:
            _child(one, waiting, writing)
    one.close()
    os.write(waking, b".")
    answer = os.read(reading, 100)
    assert os.waitpid(child, 0)[1] == 0

    assert answer == b"parent"
    again = cases.open_store(store)
    assert cases.contents(again) == cases.expected(parent=b"parent", child=b"child")
    again.close()


def test_a_change_during_which_all_lock_files_vanish_is_made_again_or_unknown(store: Path) -> None:
    one = cases.open_store(store)
    gone: list[str] = []

    def hook(name: str) -> None:
        if name == "log.append" and not gone:
            gone.append(name)
            for path in store.glob("d*/log/lock"):
                path.unlink()

    atomic.set_hook(hook)
    try:
        one.put("/data/more", b"more")
    finally:
        atomic.set_hook(None)
    one.close()

    again = cases.open_store(store, state="other")
    assert cases.contents(again) == cases.expected(more=b"more")
    again.close()


@pytest.mark.parametrize("count", [1, 2])
def test_commits_go_on_while_nodes_of_the_log_are_taken_away(count: int, store: Path) -> None:
    one = cases.open_store(store)
    members = [member.number for member in one.opened().log.members]
    for number in members[:count]:
        (store / f"d{number}").rename(store / f"away{number}")
    one.make_folder("/data/while-away")
    for number in members[:count]:
        (store / f"away{number}").rename(store / f"d{number}")
    one.close()

    again = cases.open_store(store)
    again.make_folder("/data/again")
    held = [_last_sequence(store / f"d{number}") for number in members]
    again.close()

    assert len(set(held)) == 1
    assert cases.rebuilt(store)["entries"]


def _leave_on_one_member(one: object, store: Path) -> None:
    """A change that came to one member only before its process died."""
    log = one.opened().log  # type: ignore[attr-defined]
    log.acquire(None)
    try:
        mark = log.locked_mark()
        log.adopt(mark)
        log.append(log_file.pack_records([["folder", 1, [b"minority"]]]))
    finally:
        log.lock.release()
    keep = log.members[0].number
    for path in store.glob(f"d*/log/{mark.name}"):
        if path.parent.parent.name != f"d{keep}":
            os.truncate(path, mark.offset)


def _position_of(store: Path) -> int:
    path = store / "state" / "index.db"
    if not path.exists():
        return 0
    found = apsw.Connection(str(path)).execute(
        "SELECT value FROM meta WHERE key='sequence'").fetchone()
    return int(found[0]) if found else 0


def _child(one: object, waiting: int, writing: int) -> None:
    code = 1
    try:
        os.read(waiting, 1)
        engine = one
        with engine.get("/data/parent") as source:  # type: ignore[attr-defined]
            data = source.read()
        engine.put("/data/child", b"child")  # type: ignore[attr-defined]
        engine.close()  # type: ignore[attr-defined]
        os.write(writing, data)
        code = 0
    finally:
        os._exit(code)


def _last_sequence(root: Path) -> int:
    name = log_file.list_names(root)[-1]
    frames = log_cases.frames(root / "log" / str(name))
    return frames[-1].sequence if frames else name.first - 1


def test_the_mark_of_a_closed_store_is_clean(store: Path) -> None:
    seen = [commit_lock.LockFile(0, path).mark() for path in store.glob("d*")]

    clean = [one for one in seen if one is not None]
    assert len(clean) >= 3
    assert all(one.state == commit_lock.CLEAN for one in clean)
