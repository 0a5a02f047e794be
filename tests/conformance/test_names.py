from __future__ import annotations

import pytest

from holdfast.engines import api
from holdfast.model import objects
from tests.conformance import tools

FOLDER = objects.ObjectKind.FOLDER
# Orders that a plain sort of the paths gets wrong: `/` sorts after `-` and `.`, before `0`.
TREE = [
    "/data/a/x", "/data/a-b", "/data/a.b/c", "/data/a0", "/data/a/y/z", "/data/a/y-z", "/data/B",
    "/data/é", "/data/z", "/data/日本/x", "/data/\uffff", "/data/😀", "/data/a b",
]  # fmt: skip


def fill(data: api.DataPlane, names: list[str]) -> None:
    for name in names:
        data.put(name, name.encode())


def test_a_listing_walks_the_tree_in_the_order_of_name_bytes(data: api.DataPlane) -> None:
    fill(data, TREE)

    assert tools.paths(data, "/data") == tools.in_listing_order(TREE)
    assert tools.paths(data, "/data/a") == ["/data/a/x", "/data/a/y/z", "/data/a/y-z"]


def test_direct_children_come_with_folders_in_the_same_order(data: api.DataPlane) -> None:
    fill(data, TREE)

    children = list(data.list_objects("/data", recursive=False))

    names = {"/".join(path.split("/")[:3]) for path in TREE}
    assert [one.path for one in children] == tools.in_listing_order(list(names))
    assert {one.path for one in children if one.kind is FOLDER} == {
        "/data/a", "/data/a.b", "/data/日本",
    }


def test_a_listing_says_of_each_what_stat_says(data: api.DataPlane) -> None:
    fill(data, TREE)

    for recursive in (True, False):
        for one in data.list_objects("/data", recursive=recursive):
            assert one == data.stat(one.path)


def test_many_objects_are_each_listed_once(data: api.DataPlane) -> None:
    names = [f"/data/{number % 7}/{number * 7919 % 1009:04}" for number in range(400)]
    fill(data, names)

    assert tools.paths(data, "/data") == tools.in_listing_order(names)


@pytest.mark.parametrize("recursive", [True, False])
def test_a_listing_of_an_object_is_the_object(data: api.DataPlane, recursive: bool) -> None:
    info = data.put("/data/a/x", b"x")

    assert list(data.list_objects("/data/a/x", recursive=recursive)) == [info]
    assert list(data.list_objects("/data/a/x/", recursive=recursive)) == [info]


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize("prefix", ["/data/missing", "/data/a/x/y", "/data/ab", "/elsewhere", "/da"])
def test_a_listing_of_nothing_finds_nothing(
    data: api.DataPlane, prefix: str, recursive: bool
) -> None:
    data.put("/data/a/x", b"x")
    data.put("/data/abc", b"x")

    with tools.finds_nothing():
        list(data.list_objects(prefix, recursive=recursive))


@pytest.mark.parametrize("recursive", [True, False])
def test_an_empty_folder_lists_nothing(data: api.DataPlane, recursive: bool) -> None:
    assert list(data.list_objects("/data", recursive=recursive)) == []


def test_the_folders_above_datasets_lead_to_them(data: api.DataPlane) -> None:
    fill(data, ["/data/a", "/kept/b", "/limited/tight/c"])

    assert tools.paths(data, "/", recursive=False) == ["/coded", "/data", "/kept", "/limited"]
    assert tools.paths(data, "/limited", recursive=False) == ["/limited/tight"]
    assert tools.paths(data, "/") == ["/data/a", "/kept/b", "/limited/tight/c"]
    assert tools.paths(data, "/limited") == ["/limited/tight/c"]


def test_a_listing_is_given_piece_by_piece(data: api.DataPlane) -> None:
    fill(data, TREE)

    listing = data.list_objects("/data")

    assert iter(listing) is listing
    assert next(listing).path == tools.in_listing_order(TREE)[0]


def test_what_is_listed_may_be_removed_while_the_listing_goes_on(data: api.DataPlane) -> None:
    names = [f"/data/{folder}/{number}" for folder in "abc" for number in range(30)]
    fill(data, [*names, "/data/stays"])

    seen = []
    for one in data.list_objects("/data"):
        seen.append(one.path)
        if one.path != "/data/stays":
            data.delete(one.path)

    assert seen == tools.in_listing_order([*names, "/data/stays"])
    assert tools.paths(data, "/data") == ["/data/stays"]


def test_an_object_takes_a_new_name(data: api.DataPlane) -> None:
    before = data.put("/data/a", b"x", attributes=objects.Attributes(modified_ns=7, mode=0o600))

    data.rename("/data/a", "/data/new/folders/b")

    after = data.stat("/data/new/folders/b")
    assert tools.contents(data, "/data") == {"/data/new/folders/b": b"x"}
    assert (after.version, after.modified_ns, after.attributes) == (
        before.version, before.modified_ns, before.attributes,
    )


def test_a_folder_takes_all_below_it_along(data: api.DataPlane) -> None:
    fill(data, ["/data/a/x", "/data/a/y/z", "/data/a-b"])

    data.rename("/data/a", "/data/n/c")

    assert tools.contents(data, "/data") == {
        "/data/a-b": b"/data/a-b", "/data/n/c/x": b"/data/a/x", "/data/n/c/y/z": b"/data/a/y/z",
    }
    with tools.finds_nothing("object.not_found"):
        data.stat("/data/a")


def test_the_folder_that_something_left_stays(data: api.DataPlane) -> None:
    fill(data, ["/data/a/x", "/data/b/x"])

    data.rename("/data/a/x", "/data/c")
    data.delete("/data/b/x")

    assert tools.paths(data, "/data", recursive=False) == ["/data/a", "/data/b", "/data/c"]


def test_an_object_may_move_up_to_where_its_folder_was_from(data: api.DataPlane) -> None:
    fill(data, ["/data/a/b/c"])

    data.rename("/data/a/b", "/data/b")
    data.rename("/data/b/c", "/data/a/c")

    assert tools.paths(data, "/data") == ["/data/a/c"]


@pytest.mark.parametrize("path", ["/data/a", "/data/a/x"])
def test_a_rename_onto_itself_changes_nothing(data: api.DataPlane, path: str) -> None:
    fill(data, ["/data/a/x"])

    data.rename(path, path + "/")

    assert tools.contents(data, "/data") == {"/data/a/x": b"/data/a/x"}


@pytest.mark.parametrize("source", ["/data/a", "/data/f"])
@pytest.mark.parametrize("target", ["/data/b", "/data/g", "/data/empty"])
def test_a_rename_never_replaces(
    engine: api.Engine, data: api.DataPlane, source: str, target: str
) -> None:
    fill(data, ["/data/a", "/data/b", "/data/f/x", "/data/g/x"])
    data.put("/data/empty/gone", b"x")
    data.delete("/data/empty/gone")
    before = tools.contents(data, "/data")

    with tools.refuses("object.exists"):
        data.rename(source, target)

    assert tools.contents(data, "/data") == before


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ("/data", "/data/x", "dataset.is_root"),
        ("/data", "/data", "dataset.is_root"),
        ("/data", "/kept/x", "dataset.is_root"),
        ("/data/f", "/data", "dataset.is_root"),
        ("/data/a", "/kept", "dataset.is_root"),
        ("/data/a", "/kept/a", "rename.across_datasets"),
        ("/data/f", "/coded/f", "rename.across_datasets"),
        ("/data/missing", "/kept/a", "rename.across_datasets"),
        ("/data/a", "/elsewhere", "dataset.none"),
        ("/elsewhere", "/data/x", "dataset.none"),
        ("/", "/data/x", "dataset.none"),
        ("/limited", "/data/x", "dataset.none"),
        ("/data/f", "/data/f/x", "rename.into_itself"),
        ("/data/f", "/data/f/g/new/x", "rename.into_itself"),
        ("/data/a", "/data/a/b", "rename.into_itself"),
        ("/data/f", "/data/a/b", "object.parent_is_object"),
        ("/data/a", "/data/b/c/d", "object.parent_is_object"),
    ],
)
def test_a_rename_that_cannot_be_changes_nothing(
    data: api.DataPlane, source: str, target: str, code: str
) -> None:
    fill(data, ["/data/a", "/data/b", "/data/f/g/y"])
    before = tools.contents(data, "/")

    with tools.refuses(code):
        data.rename(source, target)

    assert tools.contents(data, "/") == before
    assert tools.paths(data, "/data", recursive=False) == ["/data/a", "/data/b", "/data/f"]


@pytest.mark.parametrize("source", ["/data/missing", "/data/a/x", "/data/missing/x"])
@pytest.mark.parametrize("target", ["/data/new", "/data/a", "SAME"])
def test_a_rename_of_nothing_finds_nothing(data: api.DataPlane, source: str, target: str) -> None:
    fill(data, ["/data/a"])

    with tools.finds_nothing("object.not_found"):
        data.rename(source, source if target == "SAME" else target)

    assert tools.paths(data, "/data", recursive=False) == ["/data/a"]


@pytest.mark.parametrize("recursive", [True, False])
def test_a_deleted_object_is_gone(data: api.DataPlane, recursive: bool) -> None:
    fill(data, ["/data/a", "/data/b"])

    data.delete("/data/a", recursive=recursive)

    assert tools.contents(data, "/data") == {"/data/b": b"/data/b"}
    with tools.finds_nothing("object.not_found"):
        tools.read(data, "/data/a")


def test_a_folder_that_is_not_empty_is_deleted_only_when_asked(data: api.DataPlane) -> None:
    fill(data, ["/data/a/x", "/data/a/y/z", "/data/a-b"])

    with tools.refuses("folder.not_empty"):
        data.delete("/data/a")
    assert len(tools.paths(data, "/data")) == 3
    data.delete("/data/a", recursive=True)

    assert tools.paths(data, "/data", recursive=False) == ["/data/a-b"]


@pytest.mark.parametrize("recursive", [True, False])
def test_an_empty_folder_is_deleted(data: api.DataPlane, recursive: bool) -> None:
    fill(data, ["/data/a/x"])
    data.delete("/data/a/x")

    data.delete("/data/a", recursive=recursive)

    assert tools.paths(data, "/data", recursive=False) == []


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize("path", ["/data/missing", "/data/a/x", "/data/missing/x"])
def test_nothing_cannot_be_deleted(data: api.DataPlane, path: str, recursive: bool) -> None:
    fill(data, ["/data/a"])

    with tools.finds_nothing("object.not_found"):
        data.delete(path, recursive=recursive)


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize(
    ("path", "code"),
    [("/data", "dataset.is_root"), ("/limited/tight/", "dataset.is_root"),
     ("/", "dataset.none"), ("/limited", "dataset.none"), ("/elsewhere", "dataset.none")],
)  # fmt: skip
def test_datasets_and_what_is_above_them_cannot_be_deleted(
    data: api.DataPlane, path: str, code: str, recursive: bool
) -> None:
    with tools.refuses(code):
        data.delete(path, recursive=recursive)

    assert data.stat("/data").kind is FOLDER
    assert data.stat("/limited/tight").kind is FOLDER


def test_a_name_is_free_again_after_its_object_went(data: api.DataPlane) -> None:
    first = data.put("/data/a", b"first")
    data.delete("/data/a")
    data.put("/data/a/x", b"a folder now")
    data.delete("/data/a", recursive=True)

    third = data.put("/data/a", b"third")

    assert tools.contents(data, "/data") == {"/data/a": b"third"}
    assert third.version != first.version
