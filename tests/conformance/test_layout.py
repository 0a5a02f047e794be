"""What an engine tells of where bytes lie: shards, and the export of its metadata."""

from __future__ import annotations

import json

import pytest

from holdfast.engines import api
from holdfast.kit import checksum
from holdfast.model import objects
from tests.conformance import engines, tools


@pytest.mark.parametrize("dataset", ["/data", "/coded"])
@pytest.mark.parametrize("size", [0, 1, 70_000, 200_000, "boundary", "beyond"])
def test_shards_cover_the_object(opened: engines.Opened, dataset: str, size: int | str) -> None:
    shards = tools.offered(opened.engine, api.Shards)
    if shards is None:
        return
    whole = tools.content(
        {"boundary": opened.shard_bytes, "beyond": 2 * opened.shard_bytes + 9}.get(str(size))
        or int(size)
    )
    info = opened.engine.data.put(f"{dataset}/a", whole)

    told = list(shards.shards(f"{dataset}/a", info.version))

    end = 0
    for number, one in enumerate(told):
        assert (one.number, one.offset) == (number, end)
        end += one.length
        part = whole[one.offset : end]
        assert one.digest == "blake3:" + checksum.digest(part).hex()
        assert one.nodes
        assert one.margin == info.margin
    assert end == len(whole)
    if size == "beyond":
        assert len(told) > 1
        joined = b"".join(bytes.fromhex(one.digest.removeprefix("blake3:")) for one in told)
        assert info.digest in (None, "blake3-shards:" + checksum.digest(joined).hex())


def test_shards_of_a_snapshot_are_those_of_its_moment(engine: api.Engine) -> None:
    shards = tools.offered(engine, api.Shards)
    if shards is None:
        return
    engine.data.put("/data/a", tools.content(1000))
    api.need(engine, api.Snapshots).create_snapshot("data", "one")
    engine.data.put("/data/a", b"x", overwrite=True)

    told = list(shards.shards("/data/.snapshot/one/a"))

    assert [one.length for one in told] == [1000]


def test_shards_of_what_has_none_are_refused(engine: api.Engine) -> None:
    shards = tools.offered(engine, api.Shards)
    if shards is None:
        return
    old = engine.data.put("/data/f/a", b"x").version
    engine.data.put("/data/f/a", b"y", overwrite=True)

    with tools.refuses("object.is_folder"):
        list(shards.shards("/data/f"))
    with tools.finds_nothing("object.not_found"):
        list(shards.shards("/data/missing"))
    with tools.refuses("object.changed"):
        list(shards.shards("/data/f/a", old))


def test_the_metadata_tell_of_everything(opened: engines.Opened) -> None:
    engine = opened.engine
    metadata = tools.offered(engine, api.Metadata)
    if metadata is None:
        return
    info = engine.data.put(
        "/data/f/a", b"x" * 300,
        attributes=objects.Attributes(modified_ns=7, mode=0o600, xattrs={"user.a": b"\xff"}),
    )  # fmt: skip
    engine.data.put("/data/gone/b", b"y")
    api.need(engine, api.Snapshots).create_snapshot("data", "one")
    engine.data.delete("/data/gone", recursive=True)

    header, *records = json.loads(json.dumps([dict(one) for one in metadata.export_metadata()]))

    assert header["format"] == "holdfast.metadata/1"
    assert header["cluster"] == opened.spec.cluster
    names = {one["name"] for one in records if one["kind"] == "dataset"}
    assert names == {one.name for one in opened.spec.datasets}
    held = {one["path"]: one for one in records if one["kind"] == "object"}
    assert sorted(held) == [
        "/data/.snapshot/one/f/a", "/data/.snapshot/one/gone/b", "/data/f/a",
    ]
    told = held["/data/f/a"]
    assert (told["size_bytes"], told["version"], told["digest"]) == (300, info.version, info.digest)
    assert told["modified_ns"] == 7
    assert told["attributes"]["mode"] == 0o600
    assert sum(one["length"] for one in told["shards"]) == 300
    assert "/data/f" in {one["path"] for one in records if one["kind"] == "folder"}
    assert [one["root"] for one in records if one["kind"] == "snapshot"] == ["/data/.snapshot/one"]
