from __future__ import annotations

import io
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.engines import api
from holdfast.kit import checksum
from holdfast.model import objects
from tests.conformance import engines, tools

KIB = 1024
SIZES = [
    0, 1, 2, 4095, 4096, 4097, 65535, 65536, 65537, 128 * KIB - 1, 128 * KIB, 128 * KIB + 1,
    1024 * KIB - 1, 1024 * KIB, 1024 * KIB + 1, 3 * 1024 * KIB + 7,
]  # fmt: skip


@pytest.mark.parametrize("dataset", ["/data", "/coded"])
@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_comes_back(data: api.DataPlane, dataset: str, size: int) -> None:
    whole = tools.content(size)

    info = data.put(f"{dataset}/a/b", whole)

    assert (info.path, info.kind, info.size_bytes) == (
        f"{dataset}/a/b", objects.ObjectKind.OBJECT, size,
    )
    assert data.stat(f"{dataset}/a/b") == info
    assert tools.read(data, f"{dataset}/a/b") == whole


@pytest.mark.parametrize("beyond", [-1, 0, 1, "twice and more"])
def test_sizes_around_the_shard_boundary_come_back(
    opened: engines.Opened, beyond: int | str
) -> None:
    size = opened.shard_bytes + beyond if isinstance(beyond, int) else 2 * opened.shard_bytes + 5
    whole = tools.content(size)
    data = opened.engine.data

    data.put("/data/a", io.BytesIO(whole))

    assert tools.read(data, "/data/a") == whole
    assert tools.read(data, "/data/a", offset=opened.shard_bytes - 3, length=6) == (
        whole[opened.shard_bytes - 3 : opened.shard_bytes + 3]
    )


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "stream", "dribble", "file"])
@pytest.mark.parametrize("announced", [False, True])
def test_every_kind_of_source_is_read_to_its_end(
    data: api.DataPlane, tmp_path: Path, kind: str, announced: bool
) -> None:
    whole = tools.content(300_001)
    file = tmp_path / "source"
    file.write_bytes(whole)

    with file.open("rb") as opened_file:
        sources: dict[str, api.Source] = {
            "bytes": whole,
            "bytearray": bytearray(whole),
            "memoryview": memoryview(whole),
            "stream": io.BytesIO(whole),
            "dribble": tools.dribble(whole),
            "file": opened_file,
        }
        info = data.put("/data/a", sources[kind], size=len(whole) if announced else None)

    assert info.size_bytes == len(whole)
    assert tools.read(data, "/data/a") == whole


def test_a_stream_is_read_from_where_it_stands(data: api.DataPlane) -> None:
    source = io.BytesIO(b"0123456789")
    source.seek(4)

    data.put("/data/a", source)

    assert tools.read(data, "/data/a") == b"456789"


def test_a_digest_tells_the_content(data: api.DataPlane) -> None:
    whole = tools.content(200_000)

    info = data.put("/data/a", whole)
    same = data.put("/data/b", io.BytesIO(whole))

    assert info.digest in (None, "blake3:" + checksum.digest(whole).hex())
    assert same.digest == info.digest


@pytest.mark.parametrize("size", [0, 1000, 150_000])
@pytest.mark.parametrize("off_by", [-1, 1, 5000])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_source_of_another_size_leaves_nothing(
    data: api.DataPlane, size: int, off_by: int, streamed: bool
) -> None:
    whole = tools.content(size)
    announced = max(size + off_by, 1 if size == 0 else 0)

    with tools.refuses("put.size_mismatch"):
        data.put("/data/new/a", io.BytesIO(whole) if streamed else whole, size=announced)

    assert tools.paths(data, "/data", recursive=False) == []


@pytest.mark.parametrize("dataset", ["/data", "/coded"])
@pytest.mark.parametrize("fails_at", [0, 100, 200_000])
def test_a_source_that_breaks_leaves_nothing(
    data: api.DataPlane, dataset: str, fails_at: int
) -> None:
    broken = tools.dribble(tools.content(400_000), fails_at=fails_at)

    with pytest.raises(OSError, match="the source broke"):
        data.put(f"{dataset}/new/a", broken)

    assert tools.paths(data, dataset, recursive=False) == []


def test_a_source_that_breaks_leaves_what_it_was_to_replace(data: api.DataPlane) -> None:
    before = data.put("/data/a", b"old")

    with pytest.raises(OSError, match="the source broke"):
        data.put(
            "/data/a", tools.dribble(tools.content(90_000), fails_at=50_000), overwrite=True
        )

    assert data.stat("/data/a") == before
    assert tools.read(data, "/data/a") == b"old"


def test_a_put_does_not_replace_unasked(data: api.DataPlane) -> None:
    data.put("/data/a", b"old")

    with tools.refuses("object.exists"):
        data.put("/data/a", b"new")

    assert tools.read(data, "/data/a") == b"old"


@pytest.mark.parametrize("size", [0, 3, 5000, 200_000])
def test_an_overwrite_replaces_all_of_it(data: api.DataPlane, size: int) -> None:
    modified = objects.Attributes(modified_ns=5, mode=0o600)
    before = data.put("/data/a", tools.content(100_000, "old"), attributes=modified)

    after = data.put("/data/a", tools.content(size, "new"), overwrite=True)

    assert tools.read(data, "/data/a") == tools.content(size, "new")
    assert after.version != before.version
    assert after.modified_ns != 5
    assert after.attributes == objects.Attributes()


def test_every_put_gives_a_new_version(data: api.DataPlane) -> None:
    versions = {data.put("/data/a", b"same", overwrite=True).version for _ in range(5)}
    versions.add(data.put("/data/b", b"same").version)

    assert len(versions) == 6


def test_overwrite_of_nothing_creates(data: api.DataPlane) -> None:
    data.put("/data/a", b"new", overwrite=True)

    assert tools.read(data, "/data/a") == b"new"


def test_a_put_makes_the_folders_above(data: api.DataPlane) -> None:
    data.put("/data/a/b/c", b"x")

    assert data.stat("/data/a").kind is objects.ObjectKind.FOLDER
    assert tools.paths(data, "/data/a", recursive=False) == ["/data/a/b"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("path", ["/data", "/data/", "/data/folder", "/data/folder/"])
def test_a_folder_is_not_replaced(data: api.DataPlane, path: str, overwrite: bool) -> None:
    data.put("/data/folder/a", b"x")

    with tools.refuses("object.is_folder"):
        data.put(path, b"y", overwrite=overwrite)

    assert tools.contents(data, "/data") == {"/data/folder/a": b"x"}


@pytest.mark.parametrize("path", ["/data/a/b", "/data/a/b/c/d"])
def test_nothing_is_put_below_an_object(data: api.DataPlane, path: str) -> None:
    data.put("/data/a", b"x")

    with tools.refuses("object.parent_is_object"):
        data.put(path, b"y")

    assert tools.contents(data, "/data") == {"/data/a": b"x"}


@pytest.mark.parametrize("path", ["/", "/elsewhere", "/elsewhere/a", "/limited", "/limited/a", "/datax"])
def test_nothing_is_put_outside_the_datasets(data: api.DataPlane, path: str) -> None:
    with pytest.raises(errors.RefusedError) as caught:
        data.put(path, b"x")

    assert caught.value.code == "dataset.none"
    assert "/data" in f"{caught.value} {errors.render(caught.value, str)[1]}"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("data/a", "path.not_absolute"),
        ("", "path.not_absolute"),
        ("/data/../a", "path.dots"),
        ("/data/./a", "path.dots"),
        ("/data/a\nb", "path.control_character"),
        ("/data/\udcff", "path.not_utf8"),
        ("/data/" + "a" * 256, "path.name_too_long"),
        ("/data" + "/abcdefg" * 600, "path.too_long"),
    ],
)
def test_a_path_that_cannot_be_kept_is_refused(data: api.DataPlane, path: str, code: str) -> None:
    with tools.fails(errors.ConfigError, code):
        data.put(path, b"x")


NAMES = (
    "plain", "with space", " lead", "trail ", "ünïcödé", "日本語", "😀", "e\u0301", "\u00e9",
    "%41", "a'b\"c", "a\\b", "*?[x]", "-rf", "~", "...", ".hidden", "#", "x" * 255, "字" * 85,
    "NUL", "a:b", "$HOME", "\u202egnp.exe", "A", "a", "ﬁ", "fi", "\ufeff",
)  # fmt: skip


def test_every_name_that_can_be_kept_is_kept(data: api.DataPlane) -> None:
    for name in NAMES:
        data.put(f"/data/{name}/{name}", name.encode())

    expected = {f"/data/{name}/{name}": name.encode() for name in NAMES}
    assert tools.contents(data, "/data") == expected
    assert tools.paths(data, "/data") == tools.in_listing_order(list(expected))


def test_a_very_deep_path_is_kept(data: api.DataPlane) -> None:
    path = "/data" + "/d" * 1200 + "/end"

    data.put(path, b"x")

    assert tools.paths(data, "/data") == [path]
    data.delete("/data/d", recursive=True)
    assert tools.paths(data, "/data", recursive=False) == []


def test_slashes_more_than_needed_mean_nothing(data: api.DataPlane) -> None:
    info = data.put("//data///a//b/", b"x")

    assert info.path == "/data/a/b"
    assert tools.read(data, "/data/a/b///") == b"x"


def test_attributes_that_are_claimed_come_back(engine: api.Engine) -> None:
    given = objects.Attributes(
        modified_ns=1_600_000_000_123_456_789, mode=0o640, owner="ann", group="staff",
        acl="user::rw-", xattrs={"user.note": b"\x00\xff"},
    )  # fmt: skip

    put = engine.data.put("/data/a", b"x", attributes=given)
    found = engine.data.stat("/data/a")

    for name in engine.capabilities.attributes:
        assert getattr(found.attributes, name) == getattr(given, name)
    unclaimed = {"mode", "owner", "group", "acl", "xattrs"} - engine.capabilities.attributes
    assert bool(put.warnings) == bool(unclaimed)
    assert "modified_ns" in engine.capabilities.attributes
    assert found.modified_ns == given.modified_ns


def test_without_a_time_given_it_is_now(data: api.DataPlane) -> None:
    first = data.put("/data/a", b"x")
    second = data.put("/data/b", b"x", attributes=objects.Attributes(mode=0o600))

    assert first.attributes == objects.Attributes()
    assert 0 < first.modified_ns <= second.modified_ns
