"""A full store: puts are refused, nothing acknowledged suffers, `rm` works and space comes back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import embedded_target, mounts, need
from tests.unit.engines.embedded import small_store

from holdfast import errors
from holdfast.engines import api
from holdfast.engines.embedded import engine, reserve

DISK_BYTES = 12 << 20
FULL = {"space.full", "space.none"}


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Path]:
    """A store on six small disks of their own."""
    folder = tmp_path / "store"
    with contextlib.ExitStack() as stack:
        for name in small_store.NODES:
            path = folder / name
            path.mkdir(parents=True)
            mounts.run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path))
            stack.callback(mounts.unmount, path)
        embedded_target.prepare(folder)
        yield folder


def fill(
    store: engine.EmbeddedEngine, size: int, *, path: Callable[[int], str] = "/data/f/{}".format
) -> dict[str, int]:
    """Put until it is refused three times in a row; what was acknowledged, path to seed."""
    kept = {}
    refused = 0
    number = 0
    while refused < 3:
        number += 1
        try:
            store.put(path(number), small_store.content(number, size))
        except errors.RefusedError as error:
            if error.code not in FULL:
                raise
            refused += 1
        else:
            kept[path(number)] = number
            refused = 0
    return kept


def squeeze(folder: Path, left: int) -> None:
    """Somebody else fills the disks, but for `left` bytes on each."""
    for name in small_store.NODES:
        space = os.statvfs(folder / name)
        taken = space.f_bavail * space.f_frsize - left
        if taken > 0:
            with (folder / name / "ballast").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, taken)


pytestmark = need.root("mount")


@pytest.mark.parametrize("size", [20_000, 300_000, 700_000])
def test_a_full_store_refuses_puts_keeps_what_it_has_and_can_be_emptied(
    disks: Path, size: int
) -> None:
    store = small_store.reopen(disks)
    kept = fill(store, size)
    assert len(kept) * size * 3 > 6 * DISK_BYTES // 2

    for path, seed in kept.items():
        assert small_store.read(store, path) == small_store.content(seed, size)
    for path in list(kept)[: len(kept) * 3 // 4]:
        store.delete(path)
        del kept[path]
    store.collect_garbage()
    store.collect_garbage()

    store.put("/data/again", small_store.content("again", 700_000))
    for path, seed in kept.items():
        assert small_store.read(store, path) == small_store.content(seed, size)
    assert small_store.leftovers(disks, store) == (set(), set())
    store.close()
    store = small_store.reopen(disks)
    assert len(list(store.list_objects("/data"))) == len(kept) + 1
    store.close()


def test_the_log_alone_may_fill_the_disks(disks: Path) -> None:
    """Empty objects take no room but in the commit log."""
    store = small_store.reopen(disks)
    store.put("/data/kept", small_store.content("kept", 50_000))
    squeeze(disks, 24 << 10)

    kept = fill(store, 0)
    for refused in (
        lambda: store.put("/data/new", b""),
        lambda: store.put("/data/large", bytes(300_000)),
        lambda: store.append("/data/kept", b"x"),
        lambda: store.make_folder("/data/g"),
        lambda: store.rename("/data/kept", "/data/new"),
        lambda: store.create_snapshot("data", "s"),
    ):
        with pytest.raises(errors.RefusedError) as caught:
            refused()
        assert caught.value.code == "space.full"
    [answer] = store.put_many([api.PutItem(path="/data/new", source=b"")])
    assert isinstance(answer, errors.RefusedError)
    store.delete("/data/kept")
    for path in kept:
        store.delete(path)

    assert list(store.list_objects("/data")) == []
    store.close()
    for name in small_store.NODES:
        (disks / name / "ballast").unlink()
    store = small_store.reopen(disks)
    store.put("/data/new", b"x")
    assert [info.path for info in store.list_objects("/data")] == ["/data/new"]
    store.close()


def test_a_process_that_was_killed_on_a_full_disk_does_not_stop_the_next(disks: Path) -> None:
    """Recovery begins a new log file: there is room for it."""
    store = small_store.reopen(disks)
    kept = fill(store, 300_000)
    squeeze(disks, 0)
    for lock in disks.glob("d*/log/lock"):  # as after a power cut: no mark tells where it ends
        with lock.open("r+b") as file:
            file.write(bytes(lock.stat().st_size))
    del store

    again = small_store.reopen(disks)
    for path in list(kept)[:5]:
        again.delete(path)
    again.collect_garbage()

    assert len(list(again.list_objects("/data"))) == len(kept) - 5
    again.close()


def test_each_member_on_a_disk_of_its_own_keeps_a_reserve(disks: Path) -> None:
    store = small_store.reopen(disks)
    store.put("/data/a", b"x")

    files = [root / "log" / reserve.NAME for root in store.opened().log.roots()]

    assert {path.stat().st_blocks * 512 for path in files} == {DISK_BYTES // 64}
    store.close()


def test_members_on_one_disk_keep_none_while_it_has_room(tmp_path: Path) -> None:
    store = small_store.make(tmp_path / "store")
    store.put("/data/a", b"x")

    assert list((tmp_path / "store").glob("d*/log/reserve")) == []
    store.close()


def test_a_write_takes_no_more_of_the_reserve_than_it_needs(disks: Path) -> None:
    root = disks / "d1"
    kept = reserve.Reserve({1: root}, 1)
    assert not kept.short()
    squeeze(disks, 0)
    path = root / "log" / "something"

    def write() -> None:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 100 << 10)

    kept.spending(1, write)

    left = (root / "log" / reserve.NAME).stat().st_size
    assert DISK_BYTES // 64 - left == 128 << 10  # two steps
    assert kept.short()
    path.unlink()
    (root / "ballast").unlink()
    kept.refill()
    assert not kept.short()


def test_what_the_reserve_cannot_hold_fails_as_a_full_disk(disks: Path) -> None:
    root = disks / "d1"
    kept = reserve.Reserve({1: root}, 1)
    kept.refill()
    squeeze(disks, 0)

    def write() -> None:
        with (root / "log" / "something").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, DISK_BYTES)

    with pytest.raises(OSError, match="No space left"):
        kept.spending(1, write)
