"""Snapshots hold their view over whatever happens later; the change feed tells what differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.engines.embedded import small_store

from holdfast import errors
from holdfast.engines.embedded import engine
from holdfast.model import objects

Kind = objects.ChangeKind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[engine.EmbeddedEngine]:
    made = small_store.make(folder)
    yield made
    made.close()


def view(store: engine.EmbeddedEngine, root: str) -> dict[str, bytes]:
    return {info.path[len(root):]: small_store.read(store, info.path)
            for info in store.list_objects(root)}


def feed(
    store: engine.EmbeddedEngine, before: str, after: str | None
) -> set[tuple[Kind, str, str | None]]:
    return {(one.kind, one.path, one.source_path) for one in store.changes("data", before, after)}


def test_a_snapshot_holds_its_view_over_every_later_operation(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    for path, size in (("a", 100), ("f/b", 300_000), ("f/g/c", 5000), ("log", 200_000)):
        store.put(f"/data/{path}", small_store.content(path, size))
    store.create_snapshot("data", "s")
    before = view(store, "/data")

    def still() -> bool:
        return view(store, "/data/.snapshot/s") == before

    store.put("/data/a", b"new", overwrite=True)
    assert still()
    store.append("/data/log", small_store.content("more", 150_000))
    store.append("/data/log", b"and a little")
    assert still()
    store.rename("/data/f", "/data/h")
    store.rename("/data/h/b", "/data/f")
    assert still()
    store.delete("/data/h", recursive=True)
    store.delete("/data/log")
    assert still()
    store.create_snapshot("data", "later")
    store.put("/data/h/g/c", b"again")
    store.remove_snapshot("data", "later")
    store.collect_garbage()
    assert still()
    store.rebuild_index()
    assert still()
    store.close()
    again = small_store.reopen(folder)
    assert view(again, "/data/.snapshot/s") == before
    again.close()


def test_the_feed_tells_what_was_made_changed_renamed_and_deleted(
    store: engine.EmbeddedEngine
) -> None:
    for name in ("same", "changed", "renamed", "deleted", "f/moved"):
        store.put(f"/data/{name}", name.encode())
    store.create_snapshot("data", "s1")
    store.put("/data/changed", b"other", overwrite=True)
    store.rename("/data/renamed", "/data/a name before it")
    store.delete("/data/deleted")
    store.put("/data/made", b"")
    store.rename("/data/f", "/data/g")
    expected = {
        (Kind.MODIFIED, "/data/changed", None),
        (Kind.RENAMED, "/data/a name before it", "/data/renamed"),
        (Kind.RENAMED, "/data/g/moved", "/data/f/moved"),
        (Kind.DELETED, "/data/deleted", None),
        (Kind.CREATED, "/data/made", None),
    }

    assert feed(store, "s1", None) == expected
    store.create_snapshot("data", "s2")
    store.delete("/data/made")
    assert feed(store, "s1", "s2") == expected
    assert feed(store, "s2", None) == {(Kind.DELETED, "/data/made", None)}
    assert feed(store, "s2", "s2") == set()


def test_a_feed_whose_snapshot_goes_ends_in_an_error_and_not_in_wrong_changes(
    store: engine.EmbeddedEngine
) -> None:
    store.put("/data/a", b"1")
    store.put("/data/b", b"1")
    store.create_snapshot("data", "s")
    store.put("/data/a", b"2", overwrite=True)
    store.delete("/data/b")
    changes = store.changes("data", "s", None)
    first = next(changes)

    store.remove_snapshot("data", "s")

    assert first.kind is Kind.MODIFIED
    with pytest.raises(errors.NotFoundError):
        list(changes)


def test_metadata_is_exported_while_objects_move_and_go(store: engine.EmbeddedEngine) -> None:
    for number in range(8):
        store.put(f"/data/{number}", small_store.content(number, 9000))
    store.create_snapshot("data", "s")
    told = store.export_metadata()
    first = [next(told) for _ in range(3)]
    for number in range(7):
        store.delete(f"/data/{number}")
    store.remove_snapshot("data", "s")
    store.collect_garbage()

    rest = list(told)

    paths = [one["path"] for one in (*first, *rest) if one.get("kind") == "object"]
    assert paths[-1] == "/data/7"
