from __future__ import annotations

import pytest

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects
from tests.conformance import engines, tools

SIZE = 2 * engines.SHARD_BYTES + 70_001


RANGES: tuple[tuple[int, int | None], ...] = (
    (0, None), (0, 0), (0, 1), (1, None), (4095, 2), (65_535, 2), (65_536, 65_536),
    (131_071, 3), (engines.SHARD_BYTES - 1, 2), (engines.SHARD_BYTES, 1),
    (engines.SHARD_BYTES - 70_000, engines.SHARD_BYTES + 140_000), (SIZE - 1, None),
    (SIZE - 1, 100), (SIZE, None), (SIZE, 5), (SIZE + 1, None), (SIZE * 10, 1),
    (0, SIZE), (0, SIZE + 1), (7, 10**15),
)  # fmt: skip


@pytest.mark.parametrize("dataset", ["/data", "/coded"])
def test_a_range_is_what_a_slice_is(data: api.DataPlane, dataset: str) -> None:
    whole = tools.content(SIZE)
    data.put(f"{dataset}/a", whole)

    for offset, length in RANGES:
        found = tools.read(data, f"{dataset}/a", offset=offset, length=length)

        end = None if length is None else offset + length
        assert found == whole[offset:end], (offset, length)


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_ranges_of_small_objects_are_cut_at_the_end(data: api.DataPlane, size: int) -> None:
    whole = tools.content(size)
    data.put("/data/a", whole)

    for offset in (0, 1, size, size + 1):
        assert tools.read(data, "/data/a", offset=offset, length=size) == whole[offset:]


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1), (-5, -5)])
def test_a_negative_range_is_refused(
    data: api.DataPlane, offset: int, length: int | None
) -> None:
    data.put("/data/a", b"0123456789")

    with tools.fails(errors.ConfigError, "range.negative"):
        tools.read(data, "/data/a", offset=offset, length=length)


def test_a_stream_fills_buffers_of_any_size(data: api.DataPlane) -> None:
    whole = tools.content(300_000)
    data.put("/data/a", whole)

    found = bytearray()
    buffer = bytearray(70_000)
    with data.get("/data/a") as stream:
        assert stream.read(3) == whole[:3]
        found += whole[:3]
        while count := stream.readinto(buffer):  # type: ignore[attr-defined] # promised by get
            found += buffer[:count]

    assert bytes(found) == whole


@pytest.mark.parametrize("path", ["/data/missing", "/data/a/b", "/data/missing/b", "/elsewhere/a"])
def test_nothing_is_not_found(data: api.DataPlane, path: str) -> None:
    data.put("/data/a", b"x")

    with tools.finds_nothing():
        tools.read(data, path)
    with tools.finds_nothing():
        data.stat(path)


def test_a_missing_object_says_so(data: api.DataPlane) -> None:
    with tools.finds_nothing("object.not_found"):
        tools.read(data, "/data/missing")
    with tools.finds_nothing("object.not_found"):
        data.stat("/data/missing")


@pytest.mark.parametrize("path", ["/", "/data", "/data/folder", "/limited", "/limited/tight"])
def test_a_folder_has_no_bytes(data: api.DataPlane, path: str) -> None:
    data.put("/data/folder/a", b"x")

    with tools.refuses("object.is_folder"):
        tools.read(data, path)


@pytest.mark.parametrize("path", ["/", "/data", "/data/folder", "/limited", "/limited/tight"])
def test_a_folder_is_told_as_one(data: api.DataPlane, path: str) -> None:
    data.put("/data/folder/a", b"x")

    info = data.stat(path)

    assert info.path == path
    assert info.kind is objects.ObjectKind.FOLDER
    assert (info.size_bytes, info.version, info.digest, info.margin) == (0, "", None, None)


def test_a_version_that_is_current_is_read(data: api.DataPlane) -> None:
    info = data.put("/data/a", b"0123456789")

    assert tools.read(data, "/data/a", offset=5, version=info.version) == b"56789"


def test_a_version_that_is_gone_is_refused(data: api.DataPlane) -> None:
    info = data.put("/data/a", b"old")
    data.put("/data/a", b"new", overwrite=True)

    with tools.refuses("object.changed"):
        tools.read(data, "/data/a", version=info.version)


def test_a_version_outlives_a_rename(data: api.DataPlane) -> None:
    info = data.put("/data/a", b"x")
    data.rename("/data/a", "/data/b")

    assert data.stat("/data/b").version == info.version
    assert tools.read(data, "/data/b", version=info.version) == b"x"


@pytest.mark.parametrize("size", [10, 3_000_000])
@pytest.mark.parametrize("change", ["overwrite", "delete", "rename"])
def test_what_was_opened_is_read_to_its_end(data: api.DataPlane, size: int, change: str) -> None:
    whole = tools.content(size)
    data.put("/data/a", whole)

    with data.get("/data/a") as stream:
        start = stream.read(5)
        if change == "overwrite":
            data.put("/data/a", tools.content(size, "other"), overwrite=True)
        elif change == "delete":
            data.delete("/data/a")
        else:
            data.rename("/data/a", "/data/b")
        rest = stream.read()

    assert start + rest == whole
