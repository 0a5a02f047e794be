"""Emptying segments: what is needed is moved whole, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.engines.embedded import small_store
from tests.unit.engines.embedded.test_collect import Stopped, stop_at

from holdfast import errors
from holdfast.engines.embedded import compact, engine, segment
from holdfast.kit import atomic

COUNT, SIZE = 12, 10_000  # two segments of 64 KiB, one of them full


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[engine.EmbeddedEngine]:
    made = small_store.make(folder)
    yield made
    made.close()


def fill(store: engine.EmbeddedEngine) -> dict[str, bytes]:
    """Two segments of small objects of which most are deleted; what is left."""
    left = {}
    for number in range(COUNT):
        data = small_store.content(number, SIZE)
        store.put(f"/data/f/{number}", data)
        if number % 4 == 0:
            left[f"/data/f/{number}"] = data
    for number in range(COUNT):
        if f"/data/f/{number}" not in left:
            store.delete(f"/data/f/{number}")
    return left


def everything(store: engine.EmbeddedEngine, root: str = "/data") -> dict[str, bytes]:
    return {info.path: small_store.read(store, info.path) for info in store.list_objects(root)}


def test_segments_that_are_mostly_dead_are_rewritten(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    left = fill(store)
    before = set(small_store.sealed(store))

    store.collect_garbage()

    after = set(small_store.sealed(store))
    assert not before & after
    assert len(after) == 1
    assert everything(store) == left
    assert small_store.leftovers(folder, store) == (set(), set())


def test_a_segment_of_which_enough_is_needed_stays(store: engine.EmbeddedEngine) -> None:
    for number in range(10):
        store.put(f"/data/{number}", small_store.content(number, 5000))
    for number in range(3):
        store.delete(f"/data/{number}")
    before = small_store.sealed(store)

    store.collect_garbage()

    assert small_store.sealed(store) == before


def test_long_paths_do_not_make_a_segment_look_dead(store: engine.EmbeddedEngine) -> None:
    for number in range(20):
        store.put(f"/data/{'folder with a long name/' * 8}{number}", b"tiny")
    before = set(small_store.sealed(store))

    assert compact.compact(store.opened()) == 0
    assert set(small_store.sealed(store)) == before


def test_moved_records_keep_their_paths(store: engine.EmbeddedEngine, folder: Path) -> None:
    left = fill(store)

    store.collect_garbage()

    position, files = small_store.copies(store, folder, "/data/f/8")
    data = files[0].read_bytes()
    number = int(files[0].stem, 16)
    records = segment.scan(data[segment.HEADER_BYTES :], store.opened().store_bytes, number,
                           segment.HEADER_BYTES)
    assert {one.path.decode(): one.content for one in records} == left
    assert position in {one.position for one in records}


def test_names_snapshots_and_appended_objects_read_the_same_after_a_move(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    big = small_store.content("big", 200_000)
    store.put("/data/log", big)
    store.append("/data/log", small_store.content("more", 9000))
    store.put("/data/kept", small_store.content("kept", 9000))
    store.put("/data/old", small_store.content("old", 9000))
    store.create_snapshot("data", "s")
    store.rename("/data/kept", "/data/renamed")
    store.delete("/data/old")
    for number in range(10):
        store.put(f"/data/filler{number}", small_store.content(number, 9000))
        store.delete(f"/data/filler{number}")
    now, then = everything(store), everything(store, "/data/.snapshot/s")
    before = set(small_store.sealed(store))

    store.collect_garbage()

    assert not before & set(small_store.sealed(store))
    assert everything(store) == now
    assert everything(store, "/data/.snapshot/s") == then
    assert small_store.leftovers(folder, store) == (set(), set())
    store.rebuild_index()
    assert everything(store) == now
    assert everything(store, "/data/.snapshot/s") == then


POINTS = ["compact.copied", "segment.create", "segment.append", "segment.sync", "log.append",
          "log.sync", "collect.intended", "piece.remove", "collect.sync"]


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", POINTS)
def test_a_crash_in_the_middle_loses_nothing(folder: Path, point: str, nth: int) -> None:
    store = small_store.make(folder)
    left = fill(store)
    stop_at(point, nth)
    try:
        with contextlib.suppress(Stopped, errors.HoldfastError):
            store.collect_garbage()
    finally:
        atomic.set_hook(None)
    with contextlib.suppress(errors.HoldfastError):
        store.close()

    again = small_store.reopen(folder)
    assert everything(again) == left
    again.collect_garbage()

    assert everything(again) == left
    unneeded, missing = small_store.leftovers(folder, again)
    assert missing == set()
    assert len(unneeded) <= 3  # the copies of one segment that was made but never announced
    again.close()


def test_an_open_segment_of_another_process_is_left_to_it(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    other = small_store.reopen(folder)
    store.put("/data/a", small_store.content("a", 9000))
    store.delete("/data/a")

    other.collect_garbage()
    store.put("/data/b", small_store.content("b", 9000))

    assert list(small_store.sealed(store).values()) == [False]
    assert small_store.read(other, "/data/b") == small_store.content("b", 9000)
    other.close()


def test_a_segment_that_a_process_left_behind_is_emptied_by_another(folder: Path) -> None:
    store = small_store.make(folder)
    store.put("/data/a", small_store.content("a", 9000))
    store.close()
    other = small_store.reopen(folder)
    other.delete("/data/a")

    other.collect_garbage()

    assert small_store.stored_files(folder) == set()
    other.close()


def test_a_segment_with_an_unreadable_record_is_left_alone_and_reported(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    left = fill(store)
    position, files = small_store.copies(store, folder, "/data/f/0")
    for path in files:
        small_store.flip(path, position + segment.HEAD_BYTES + 5)
    number = int(files[0].stem, 16)

    store.collect_garbage()

    assert set(small_store.sealed(store)) >= {number}
    assert all(path.exists() for path in files)
    reported = {(one.object, one.reason) for one in store.opened().repairs.all()}
    assert reported == {(number, "piece.checksum")}
    assert small_store.read(store, "/data/f/4") == left["/data/f/4"]
    with pytest.raises(errors.IntegrityError):
        small_store.read(store, "/data/f/0")


def test_a_damaged_copy_is_not_copied_on(store: engine.EmbeddedEngine, folder: Path) -> None:
    left = fill(store)
    for path in left:
        position, files = small_store.copies(store, folder, path)
        small_store.flip(files[0], position + segment.HEAD_BYTES + 5)

    store.collect_garbage()

    assert everything(store) == left
    assert store.opened().repairs.all() != []


def test_changes_that_race_with_it_are_neither_lost_nor_undone(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    left = fill(store)
    for number in range(30):
        path = f"/data/g/{number}"
        left[path] = small_store.content(path, 4000)
        store.put(path, left[path])
    failures: list[BaseException] = []
    stopping = threading.Event()

    def compacting() -> None:
        try:
            while not stopping.is_set():
                compact.compact(store.opened(), live_share=1.1)
                store.collect_garbage()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=compacting)
    thread.start()
    for number in range(30):
        path = f"/data/g/{number}"
        if number % 3 == 0:
            store.delete(path)
            del left[path]
        elif number % 3 == 1:
            left[path] = small_store.content(("new", path), 3000)
            store.put(path, left[path], overwrite=True)
        else:
            store.rename(path, f"/data/h/{number}")
            left[f"/data/h/{number}"] = left.pop(path)
        assert everything(store, "/data/f") == {
            path: data for path, data in left.items() if path.startswith("/data/f/")}
    stopping.set()
    thread.join()

    assert failures == []
    assert everything(store) == left
    assert small_store.leftovers(folder, store)[1] == set()
    store.collect_garbage()
    assert small_store.leftovers(folder, store) == (set(), set())


def test_a_reader_that_looked_a_record_up_before_it_moved_gets_it(
    store: engine.EmbeddedEngine
) -> None:
    store.put("/data/log", small_store.content("log", 200_000))
    store.append("/data/log", small_store.content("more", 9000))
    left = fill(store)
    whole = small_store.read(store, "/data/log")

    with store.get("/data/log") as source:
        start = source.read(10)
        store.collect_garbage()
        assert start + source.read() == whole

    assert everything(store, "/data/f") == left
