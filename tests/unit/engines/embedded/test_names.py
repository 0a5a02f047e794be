"""From paths to rows of the index, now and at a snapshot."""

from __future__ import annotations

import pytest
from tests.unit.engines.embedded.index_books import Books

from holdfast import errors
from holdfast.engines.embedded import changes, names


@pytest.fixture
def books() -> Books:
    """Dataset /1 with f/a, f/g/b and c, a snapshot `s`, then f renamed to h and c deleted."""
    made = Books()
    dataset = made.dataset(1)
    for path in ("f/a", "f/g/b", "c"):
        made.commit([changes.Put(
            dataset, f"/1/{path}", size=0, modified_ns=0, digest=None, attributes=None,
            overwrite=False)])
    made.commit([changes.Snapshot("set1", "s", 0)])
    made.commit([changes.Rename(dataset, "/1/f", "/1/h")])
    made.commit([changes.Delete(dataset, "/1/c", recursive=False)])
    return made


def found(books: Books, path: str) -> names.Entry | None:
    return names.find(books.connection, names.locate(books.connection, path))


@pytest.mark.parametrize("path", ["/1/h/a", "/1/h/g/b", "/1/.snapshot/s/f/a",
                                  "/1/.snapshot/s/f/g/b", "/1/.snapshot/s/c"])
def test_objects_are_found_where_they_are_and_were(books: Books, path: str) -> None:
    entry = found(books, path)

    assert entry is not None
    assert entry.kind == names.EMPTY


@pytest.mark.parametrize("path", ["/1/f/a", "/1/c", "/1/.snapshot/s/h/a", "/1/h/a/below"])
def test_nothing_is_found_where_nothing_is_or_was(books: Books, path: str) -> None:
    assert found(books, path) is None


def test_roots_are_folders_of_their_own(books: Books) -> None:
    for path in ("/1", "/1/.snapshot/s"):
        entry = found(books, path)
        assert entry is not None
        assert entry.kind == names.FOLDER


def test_what_lies_above_the_datasets_has_no_dataset(books: Books) -> None:
    place = names.locate(books.connection, "/")

    assert place.dataset is None
    assert names.find(books.connection, place) is None


@pytest.mark.parametrize("path", ["/3/a", "/1/.snapshot/t/a"])
def test_unknown_datasets_and_snapshots_are_refused(books: Books, path: str) -> None:
    with pytest.raises(errors.NotFoundError):
        names.locate(books.connection, path)


def test_a_subtree_is_walked_parents_first(books: Books) -> None:
    walked = [one.name for one in names.subtree(books.connection, books.dataset(1).root)]

    assert walked == [b"h", b"a", b"g", b"b"]


def test_only_a_folder_with_current_entries_is_not_empty(books: Books) -> None:
    assert not names.is_empty(books.connection, books.dataset(1).root)
    books.commit([changes.Delete(books.dataset(1), "/1/h", recursive=True)])
    assert names.is_empty(books.connection, books.dataset(1).root)


def test_pages_go_on_where_the_last_one_ended(books: Books) -> None:
    root = books.dataset(2).root
    expected = [f"{number:05d}".encode() for number in range(names.PAGE_ROWS + 5)]
    books.commit([
        changes.MakeFolder(books.dataset(2), f"/2/{name.decode()}") for name in expected])

    first = names.page(books.connection, root, b"", None)
    second = names.page(books.connection, root, first[-1].name, None)

    assert len(first) == names.PAGE_ROWS
    assert [one.name for one in (*first, *second)] == expected
