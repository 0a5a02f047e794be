"""Freeing: exactly what nothing needs, never ahead of the log or of a reader of any process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.engines.embedded import small_store

from holdfast.engines.embedded import collect, engine
from holdfast.kit import atomic

PROJECT = Path(__file__).parents[4]
READER = """
import sys
from pathlib import Path
from tests.unit.engines.embedded import small_store

store = small_store.reopen(Path(sys.argv[1]))
with store.get(sys.argv[2]) as source:
    start = source.read(10)
    print("open", flush=True)
    sys.stdin.readline()
    rest = source.read()
print((start + rest).hex(), flush=True)
store.close()
"""


class Stopped(BaseException):
    """The process was killed here."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[engine.EmbeddedEngine]:
    made = small_store.make(folder)
    yield made
    made.close()


@contextlib.contextmanager
def a_reader(folder: Path, path: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a `get` open, and goes on when it is sent a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder), path], cwd=PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def stop_at(point: str, nth: int = 1) -> None:
    """Raise Stopped at the nth pass of a crash point."""
    passed = 0

    def hook(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and passed == nth:
            raise Stopped

    atomic.set_hook(hook)


def test_everything_that_was_deleted_leaves_the_disks(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    for number in range(4):
        store.put(f"/data/big{number}", small_store.content(number, 600_000))
        store.put(f"/media/big{number}", small_store.content(number, 900_000))
        store.put(f"/data/small{number}", small_store.content(number, 20_000))
    kept = small_store.read(store, "/media/big3")

    for number in range(4):
        store.delete(f"/data/big{number}")
        store.delete(f"/data/small{number}")
    for number in range(3):
        store.delete(f"/media/big{number}")
    store.collect_garbage()

    assert small_store.leftovers(folder, store) == (set(), set())
    assert {name[3:5] for name in small_store.stored_files(folder)} == {"pg"}
    assert small_store.read(store, "/media/big3") == kept
    assert store.opened().catalog.read(collect.waiting_bytes) == 0


def test_removing_snapshots_frees_exactly_what_they_alone_saw(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    views = {}
    for number in range(3):
        store.put("/data/a", small_store.content(("a", number), 300_000), overwrite=True)
        store.put("/data/b", small_store.content(("b", number), 900), overwrite=True)
        store.create_snapshot("data", f"s{number}")
        views[number] = (small_store.read(store, "/data/a"), small_store.read(store, "/data/b"))
    store.delete("/data/a")
    store.delete("/data/b")

    for gone in (1, 0, 2):
        store.collect_garbage()
        assert small_store.leftovers(folder, store) == (set(), set())
        for number, (first, second) in views.items():
            assert small_store.read(store, f"/data/.snapshot/s{number}/a") == first
            assert small_store.read(store, f"/data/.snapshot/s{number}/b") == second
        store.remove_snapshot("data", f"s{gone}")
        del views[gone]
    store.collect_garbage()

    assert small_store.stored_files(folder) == set()


@pytest.mark.parametrize("change", ["delete", "overwrite", "collect"])
def test_a_reader_reads_to_its_end(
    store: engine.EmbeddedEngine, folder: Path, change: str
) -> None:
    data = small_store.content("big", 3 * small_store.SHARD_BYTES)
    store.put("/data/big", data)

    with store.get("/data/big") as source:
        start = source.read(1000)
        if change == "overwrite":
            store.put("/data/big", b"x", overwrite=True)
        else:
            store.delete("/data/big")
        assert store.collect_garbage() == 0
        rest = source.read()
    store.collect_garbage()

    assert start + rest == data
    assert small_store.leftovers(folder, store) == (set(), set())
    assert not any("/pg/" in name for name in small_store.stored_files(folder))


def test_a_reader_in_another_process_is_waited_for(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    data = small_store.content("big", 3 * small_store.SHARD_BYTES)
    store.put("/data/big", data)

    with a_reader(folder, "/data/big") as process:
        store.delete("/data/big")
        held = store.collect_garbage()
        told, _ = process.communicate("\n", timeout=20)
    freed = store.collect_garbage()

    assert held == 0
    assert bytes.fromhex(told) == data
    assert freed == 3
    assert small_store.stored_files(folder) == set()


def test_a_reader_that_was_killed_holds_nothing(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    store.put("/data/big", small_store.content("big", small_store.SHARD_BYTES))

    with a_reader(folder, "/data/big") as process:
        store.delete("/data/big")
        process.kill()
        process.wait()
        assert store.collect_garbage() == 1

    slots = list(folder.glob("d*/log/readers/*"))
    assert len(slots) <= store.opened().log.majority  # those of this process


def test_a_reader_that_comes_while_garbage_is_sought_is_safe(
    store: engine.EmbeddedEngine
) -> None:
    """It pins after the slots were looked at, and what it sees is deleted before the garbage is."""
    store.put("/data/first", small_store.content("first", 300_000))
    store.put("/data/big", small_store.content("big", 300_000))
    store.delete("/data/first")
    opened = store.opened()
    horizon = collect._horizon(opened)

    with store.get("/data/big") as source:
        store.delete("/data/big")
        found = opened.catalog.read(lambda one: collect._waste(one, horizon, frozenset(), 100))
        assert len(source.read()) == 300_000

    assert len(found) == 2  # the shards of `first` alone


@pytest.mark.parametrize("point", ["collect.intended", "piece.remove", "collect.sync", "log.sync"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_collector_that_died_is_finished_by_the_next(
    folder: Path, point: str, nth: int
) -> None:
    store = small_store.make(folder)
    store.put("/data/big", small_store.content("big", 600_000))
    store.put("/data/kept", small_store.content("kept", 600_000))
    store.delete("/data/big")
    stop_at(point, nth)
    try:
        with contextlib.suppress(Stopped):
            store.collect_garbage()
    finally:
        atomic.set_hook(None)
    store.close()

    again = small_store.reopen(folder)
    again.collect_garbage()

    assert small_store.leftovers(folder, again) == (set(), set())
    assert again.opened().catalog.read(collect.waiting_bytes) == 0
    assert small_store.read(again, "/data/kept") == small_store.content("kept", 600_000)
    again.close()


def test_two_collectors_at_once_free_everything_once(folder: Path) -> None:
    first, second = small_store.make(folder), small_store.reopen(folder)
    for number in range(20):
        first.put(f"/data/{number}", small_store.content(number, 300_000))
    kept = small_store.read(second, "/data/19")
    for number in range(19):
        second.delete(f"/data/{number}")
    failures: list[BaseException] = []

    def work(store: engine.EmbeddedEngine) -> None:
        try:
            store.collect_garbage()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert small_store.leftovers(folder, first) == (set(), set())
    assert first.opened().catalog.read(collect.waiting_bytes) == 0
    assert small_store.read(first, "/data/19") == kept
    first.close()
    second.close()


def test_what_lies_on_a_node_that_is_away_is_freed_when_it_comes_back(folder: Path) -> None:
    store = small_store.make(folder)
    for number in range(8):
        store.put(f"/media/{number}", small_store.content(number, 300_000))
    store.close()
    (folder / "d3").rename(folder / "away")
    (folder / "d3").mkdir()

    store = small_store.reopen(folder)
    for number in range(7):
        store.delete(f"/media/{number}")
    store.put("/media/new", small_store.content("new", 300_000))
    while_away = store.collect_garbage()
    waiting = store.opened().catalog.read(collect.waiting_bytes)
    store.close()
    others = {name for name in small_store.stored_files(folder) if not name.startswith("d3/")}
    (folder / "d3").rmdir()
    (folder / "away").rename(folder / "d3")
    store = small_store.reopen(folder)
    freed = store.collect_garbage()

    assert while_away == 0
    assert waiting > 0
    assert len([name for name in others if "/pg/" in name]) == 5 + 5  # of /media/7 and /media/new
    assert freed == 7
    assert small_store.leftovers(folder, store) == (set(), set())
    assert small_store.read(store, "/media/7") == small_store.content(7, 300_000)
    assert small_store.read(store, "/media/new") == small_store.content("new", 300_000)
    store.close()


def test_a_node_without_its_sentinel_is_not_touched(folder: Path) -> None:
    store = small_store.make(folder)
    store.put("/data/big", small_store.content("big", 300_000))
    before = {name for name in small_store.stored_files(folder) if "/pg/" in name}
    lost = next(iter(before)).split("/")[0]
    (folder / lost / "holdfast.node").rename(folder / "sentinel")
    store.delete("/data/big")

    store.collect_garbage()

    left = {name for name in small_store.stored_files(folder) if "/pg/" in name}
    assert left == {name for name in before if name.startswith(lost + "/")}
    (folder / "sentinel").rename(folder / lost / "holdfast.node")
    store.close()


def test_closing_a_store_frees_what_was_deleted(folder: Path) -> None:
    store = small_store.make(folder)
    store.put("/data/big", small_store.content("big", 300_000))
    store.delete("/data/big")

    store.close()

    assert small_store.stored_files(folder) == set()
