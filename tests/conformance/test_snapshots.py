from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects
from tests.conformance import engines, tools

ROOT = "/data/.snapshot/one"


def needed(engine: api.Engine) -> api.Snapshots:
    """Every engine that the suite knows takes snapshots; `test_claims` holds it to that."""
    return api.need(engine, api.Snapshots)


def frozen_tree(data: api.DataPlane, root: str) -> dict[str, bytes | None]:
    """Everything below `root`, by its path from there; None for a folder."""
    found: dict[str, bytes | None] = {}
    for one in data.list_objects(root, recursive=False):
        is_folder = one.kind is objects.ObjectKind.FOLDER
        found[one.path.removeprefix(root)] = None if is_folder else tools.read(data, one.path)
        if is_folder:
            found |= {
                one.path.removeprefix(root) + path: held
                for path, held in frozen_tree(data, one.path).items()
            }
    return found


def test_a_snapshot_tells_where_it_is_read(engine: api.Engine) -> None:
    taken = needed(engine).create_snapshot("data", "one")

    assert (taken.name, taken.dataset, taken.root) == ("one", "data", ROOT)
    assert taken.created_ns > 0
    assert needed(engine).snapshots("data") == (taken,)
    assert needed(engine).snapshots("kept") == ()


def test_snapshots_are_told_in_the_order_they_were_taken(engine: api.Engine) -> None:
    for name in ("b", "c", "a"):
        needed(engine).create_snapshot("data", name)

    assert [one.name for one in needed(engine).snapshots("data")] == ["b", "c", "a"]
    listed = tools.paths(engine.data, "/data/.snapshot", recursive=False)
    assert listed == [f"/data/.snapshot/{name}" for name in "abc"]


def test_a_snapshot_is_read_as_folders_are(engine: api.Engine) -> None:
    data = engine.data
    live = data.put("/data/a/x", b"0123456789", attributes=objects.Attributes(modified_ns=7))
    needed(engine).create_snapshot("data", "one")

    info = data.stat(f"{ROOT}/a/x")

    assert (info.path, info.size_bytes, info.modified_ns) == (f"{ROOT}/a/x", 10, 7)
    assert (info.version, info.digest) == (live.version, live.digest)
    assert tools.read(data, f"{ROOT}/a/x", offset=2, length=3, version=live.version) == b"234"
    assert tools.paths(data, ROOT) == [f"{ROOT}/a/x"]
    assert tools.paths(data, "/data/.snapshot") == [f"{ROOT}/a/x"]
    for folder in ("/data/.snapshot", ROOT, f"{ROOT}/a"):
        assert data.stat(folder).kind is objects.ObjectKind.FOLDER


def test_the_folder_of_snapshots_is_there_but_not_in_listings(engine: api.Engine) -> None:
    data = engine.data
    assert tools.paths(data, "/data/.snapshot", recursive=False) == []
    data.put("/data/x", b"x")
    needed(engine).create_snapshot("data", "one")

    assert tools.paths(data, "/data", recursive=False) == ["/data/x"]
    assert tools.paths(data, "/") == ["/data/x"]
    assert data.stat("/data/.snapshot").path == "/data/.snapshot"


CHANGES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "overwrite": (("put", "/data/a/x", "other"),),
    "delete": (("delete", "/data/a/x", ""),),
    "delete folder": (("delete", "/data/a", ""),),
    "delete all": (("delete", "/data/a", ""), ("delete", "/data/b", "")),
    "rename": (("rename", "/data/a/x", "/data/a/moved"),),
    "rename folder": (("rename", "/data/a", "/data/moved"),),
    "rename folder, then fill its old name": (
        ("rename", "/data/a", "/data/moved"), ("put", "/data/a/x", "another"),
    ),
    "rename folder into another": (("rename", "/data/a", "/data/b/a"),),
    "rename folder away and back": (
        ("rename", "/data/a", "/data/moved"), ("put", "/data/moved/x", "other"),
        ("rename", "/data/moved", "/data/a"),
    ),
    "new objects": (("put", "/data/a/new", "n"), ("put", "/data/n/new", "n")),
    "an object where a folder was": (("delete", "/data/a", ""), ("put", "/data/a", "object")),
}  # fmt: skip


def apply(data: api.DataPlane, change: tuple[str, str, str]) -> None:
    verb, path, other = change
    if verb == "put":
        data.put(path, other.encode(), overwrite=True)
    elif verb == "delete":
        data.delete(path, recursive=True)
    else:
        data.rename(path, other)


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_snapshot_stays_as_it_was(opened: engines.Opened, change: str) -> None:
    data = opened.engine.data
    large = tools.content(opened.shard_bytes + 10)
    for path, held in {"/data/a/x": b"x", "/data/a/deep/y": large, "/data/b/z": b""}.items():
        data.put(path, held)
    data.delete("/data/b/z")
    before = frozen_tree(data, "/data")
    needed(opened.engine).create_snapshot("data", "one")

    for one in CHANGES[change]:
        apply(data, one)

    assert frozen_tree(data, ROOT) == before
    assert before == {
        "/a": None, "/a/x": b"x", "/a/deep": None, "/a/deep/y": large, "/b": None,
    }


def test_several_snapshots_each_show_their_moment(engine: api.Engine) -> None:
    for number in range(4):
        engine.data.put("/data/x", str(number).encode(), overwrite=True)
        needed(engine).create_snapshot("data", f"s{number}")
    needed(engine).remove_snapshot("data", "s1")

    found = tools.contents(engine.data, "/data/.snapshot")

    assert found == {f"/data/.snapshot/s{n}/x": str(n).encode() for n in (0, 2, 3)}


def test_a_removed_snapshot_is_gone_and_its_name_free(engine: api.Engine) -> None:
    engine.data.put("/data/x", b"first")
    needed(engine).create_snapshot("data", "one")
    needed(engine).remove_snapshot("data", "one")

    with tools.finds_nothing():
        engine.data.stat(f"{ROOT}/x")
    engine.data.put("/data/x", b"second", overwrite=True)
    needed(engine).create_snapshot("data", "one")

    assert tools.read(engine.data, f"{ROOT}/x") == b"second"


def test_removing_a_snapshot_leaves_what_is_there_now(engine: api.Engine) -> None:
    engine.data.put("/data/x", b"x")
    needed(engine).create_snapshot("data", "one")

    needed(engine).remove_snapshot("data", "one")

    assert tools.contents(engine.data, "/data") == {"/data/x": b"x"}


def test_a_snapshot_name_is_taken_once_in_its_dataset(engine: api.Engine) -> None:
    needed(engine).create_snapshot("data", "one")
    engine.data.put("/data/x", b"later")

    with tools.refuses("snapshot.exists"):
        needed(engine).create_snapshot("data", "one")
    needed(engine).create_snapshot("kept", "one")

    assert tools.paths(engine.data, ROOT) == []


@pytest.mark.parametrize("name", ["", "a/b", "/", ".", "..", "a\nb", "x" * 256])
def test_a_name_that_cannot_be_a_folder_is_no_snapshot_name(
    engine: api.Engine, name: str
) -> None:
    with tools.fails(errors.ConfigError):
        needed(engine).create_snapshot("data", name)

    assert needed(engine).snapshots("data") == ()


def test_an_unknown_snapshot_is_not_found(engine: api.Engine) -> None:
    with tools.finds_nothing("snapshot.not_found"):
        needed(engine).remove_snapshot("data", "missing")
    with tools.finds_nothing():
        engine.data.stat("/data/.snapshot/missing")
    with tools.finds_nothing():
        list(engine.data.list_objects("/data/.snapshot/missing/x"))


def test_an_unknown_dataset_has_no_snapshots(engine: api.Engine) -> None:
    snapshots = needed(engine)

    with tools.finds_nothing("dataset.not_found"):
        snapshots.create_snapshot("missing", "one")
    with tools.finds_nothing("dataset.not_found"):
        snapshots.remove_snapshot("missing", "one")
    with tools.finds_nothing("dataset.not_found"):
        snapshots.snapshots("missing")


WRITES: dict[str, Callable[[api.Engine, str], object]] = {
    "put": lambda engine, path: engine.data.put(path, b"new", overwrite=True),
    "delete": lambda engine, path: engine.data.delete(path, recursive=True),
    "rename from": lambda engine, path: engine.data.rename(path, "/data/new"),
    "rename to": lambda engine, path: engine.data.rename("/data/x", path),
    "append": lambda engine, path: api.need(engine, api.Append).append(
        path.replace("/data", "/kept"), b"more"
    ),
    "make folder": lambda engine, path: api.need(engine, api.Folders).make_folder(path),
    "remove folder": lambda engine, path: api.need(engine, api.Folders).remove_folder(path),
}


@pytest.mark.parametrize("write", sorted(WRITES))
@pytest.mark.parametrize(
    "path", [f"{ROOT}/x", f"{ROOT}/new", ROOT, "/data/.snapshot", "/data/.snapshot/missing/x"]
)
def test_nothing_is_written_below_a_snapshot(engine: api.Engine, write: str, path: str) -> None:
    engine.data.put("/data/x", b"x")
    needed(engine).create_snapshot("data", "one")

    with tools.refuses("snapshot.read_only"):
        WRITES[write](engine, path)

    assert tools.contents(engine.data, "/data") == {"/data/x": b"x"}
    assert tools.contents(engine.data, "/data/.snapshot") == {f"{ROOT}/x": b"x"}


def test_the_snapshot_folder_is_special_only_below_the_dataset(engine: api.Engine) -> None:
    engine.data.put("/data/a/.snapshot/x", b"x")

    assert tools.contents(engine.data, "/data") == {"/data/a/.snapshot/x": b"x"}


def changed(engine: api.Engine, after: str | None = None) -> set[tuple[str, str, str | None]]:
    feed = api.need(engine, api.Changes).changes("data", "one", after)
    told = [(one.kind.value, one.path, one.source_path) for one in feed]
    assert len(set(told)) == len(told)
    return set(told)


def test_the_changes_since_a_snapshot_are_told(engine: api.Engine) -> None:
    data = engine.data
    for name in ("same", "changed", "gone", "moved", "swapped", "f/1", "f/2", "back"):
        data.put(f"/data/{name}", name.encode())
    needed(engine).create_snapshot("data", "one")
    assert changed(engine) == set()

    data.put("/data/new", b"n")
    data.put("/data/changed", b"c", overwrite=True)
    data.delete("/data/gone")
    data.rename("/data/moved", "/data/there/moved")
    data.rename("/data/f", "/data/g")
    data.rename("/data/swapped", "/data/taken")
    data.put("/data/swapped", b"another")
    data.rename("/data/back", "/data/forth")
    data.rename("/data/forth", "/data/back")
    data.put("/data/brief", b"b")
    data.delete("/data/brief")
    expected = {
        ("created", "/data/new", None),
        ("modified", "/data/changed", None),
        ("deleted", "/data/gone", None),
        ("renamed", "/data/there/moved", "/data/moved"),
        ("renamed", "/data/g/1", "/data/f/1"),
        ("renamed", "/data/g/2", "/data/f/2"),
        ("created", "/data/taken", None),
        ("modified", "/data/swapped", None),
    }

    assert changed(engine) == expected
    needed(engine).create_snapshot("data", "two")
    data.delete("/data/same")
    assert changed(engine, "two") == expected


def test_a_rename_onto_a_name_that_was_there_is_a_change_of_it(engine: api.Engine) -> None:
    engine.data.put("/data/a", b"a")
    engine.data.put("/data/b", b"b")
    needed(engine).create_snapshot("data", "one")

    engine.data.delete("/data/b")
    engine.data.rename("/data/a", "/data/b")

    assert changed(engine) == {("modified", "/data/b", None), ("deleted", "/data/a", None)}


def test_changes_may_be_told_backwards(engine: api.Engine) -> None:
    needed(engine).create_snapshot("data", "two")
    engine.data.put("/data/x", b"x")
    needed(engine).create_snapshot("data", "one")

    assert changed(engine, "two") == {("deleted", "/data/x", None)}
    assert changed(engine, "one") == set()


@pytest.mark.parametrize(
    ("dataset", "before", "after", "code"),
    [
        ("data", "missing", None, "snapshot.not_found"),
        ("data", "missing", "one", "snapshot.not_found"),
        ("data", "one", "missing", "snapshot.not_found"),
        ("kept", "one", None, "snapshot.not_found"),
        ("missing", "one", None, "dataset.not_found"),
    ],
)
def test_changes_from_a_base_that_is_gone_are_not_found(
    engine: api.Engine, dataset: str, before: str, after: str | None, code: str
) -> None:
    needed(engine).create_snapshot("data", "one")

    with tools.finds_nothing(code):
        list(api.need(engine, api.Changes).changes(dataset, before, after))
