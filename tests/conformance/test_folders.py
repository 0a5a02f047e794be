from __future__ import annotations

import pytest

from holdfast.engines import api
from holdfast.model import objects
from tests.conformance import tools


def test_a_folder_is_made_with_its_parents(engine: api.Engine) -> None:
    folders = tools.offered(engine, api.Folders)
    if folders is None:
        return

    folders.make_folder("/data/a/b/c")

    assert engine.data.stat("/data/a/b/c").kind is objects.ObjectKind.FOLDER
    assert tools.paths(engine.data, "/data/a/b", recursive=False) == ["/data/a/b/c"]
    assert tools.paths(engine.data, "/data") == []


@pytest.mark.parametrize("path", ["/data/a", "/data/a/b", "/data", "/limited", "/"])
def test_a_folder_that_is_there_may_be_made_again(engine: api.Engine, path: str) -> None:
    folders = tools.offered(engine, api.Folders)
    if folders is None:
        return
    engine.data.put("/data/a/b/x", b"x")

    folders.make_folder(path)

    assert tools.contents(engine.data, "/data") == {"/data/a/b/x": b"x"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/data/o", "object.exists"),
        ("/data/o/a", "object.parent_is_object"),
        ("/data/o/a/b", "object.parent_is_object"),
        ("/elsewhere", "dataset.none"),
        ("/limited/elsewhere", "dataset.none"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused(
    engine: api.Engine, path: str, code: str
) -> None:
    folders = tools.offered(engine, api.Folders)
    if folders is None:
        return
    engine.data.put("/data/o", b"x")

    with tools.refuses(code):
        folders.make_folder(path)

    assert tools.paths(engine.data, "/data", recursive=False) == ["/data/o"]


def test_an_empty_folder_is_removed(engine: api.Engine) -> None:
    folders = tools.offered(engine, api.Folders)
    if folders is None:
        return
    folders.make_folder("/data/a/b")

    folders.remove_folder("/data/a/b")

    assert tools.paths(engine.data, "/data", recursive=False) == ["/data/a"]
    assert tools.paths(engine.data, "/data/a", recursive=False) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/data/a", "folder.not_empty"),
        ("/data/with_folder", "folder.not_empty"),
        ("/data/a/o", "folder.is_object"),
        ("/data", "dataset.is_root"),
        ("/", "dataset.none"),
        ("/limited", "dataset.none"),
        ("/elsewhere", "dataset.none"),
    ],
)
def test_what_is_no_empty_folder_is_not_removed(
    engine: api.Engine, path: str, code: str
) -> None:
    folders = tools.offered(engine, api.Folders)
    if folders is None:
        return
    engine.data.put("/data/a/o", b"x")
    folders.make_folder("/data/with_folder/empty")

    with tools.refuses(code):
        folders.remove_folder(path)

    assert tools.paths(engine.data, "/data", recursive=False) == ["/data/a", "/data/with_folder"]


@pytest.mark.parametrize("path", ["/data/missing", "/data/o/x"])
def test_a_folder_that_is_missing_is_not_found(engine: api.Engine, path: str) -> None:
    folders = tools.offered(engine, api.Folders)
    if folders is None:
        return
    engine.data.put("/data/o", b"x")

    with tools.finds_nothing("object.not_found"):
        folders.remove_folder(path)


def test_an_empty_folder_moves_as_any_other(engine: api.Engine) -> None:
    folders = tools.offered(engine, api.Folders)
    if folders is None:
        return
    folders.make_folder("/data/a/empty")

    engine.data.rename("/data/a", "/data/b")

    assert engine.data.stat("/data/b/empty").kind is objects.ObjectKind.FOLDER
    assert tools.paths(engine.data, "/data", recursive=False) == ["/data/b"]
