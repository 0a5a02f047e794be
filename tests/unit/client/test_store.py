from __future__ import annotations

import io
import threading

import pytest

from holdfast import errors
from holdfast.client import store
from holdfast.engines import api


def test_what_is_put_is_read_in_ranges(opened: store.Store) -> None:
    opened.put("/data/x", io.BytesIO(b"0123456789"))

    assert opened.read("/data/x") == b"0123456789"
    assert opened.read("/data/x", 2, 3) == b"234"
    with opened.get("/data/x", offset=8, length=5) as source:
        assert source.read() == b"89"
    assert opened.stat("/data/x").size_bytes == 10


def test_get_works_without_a_with_block_and_into_a_buffer(opened: store.Store) -> None:
    opened.put("/data/x", b"abcdef")

    source = opened.get("/data/x", offset=1)
    buffer = bytearray(3)

    assert source.readinto(buffer) == 3  # type: ignore[attr-defined]  # every engine's has it
    assert (bytes(buffer), source.read()) == (b"bcd", b"ef")
    source.close()
    source.close()
    assert source.closed


def test_two_ranged_reads_never_mix_two_contents(opened: store.Store) -> None:
    before = opened.put("/data/x", b"one")
    opened.put("/data/x", b"two", overwrite=True)

    with pytest.raises(errors.RefusedError) as caught:
        opened.read("/data/x", version=before.version)

    assert caught.value.code == "object.changed"


def test_put_many_answers_each_item(opened: store.Store) -> None:
    items = [
        api.PutItem(path="/data/a", source=b"1"),
        api.PutItem(path="/nowhere/b", source=b"2"),
        api.PutItem(path="/data/c", source=b"3"),
    ]

    first, second, third = opened.put_many(items)

    assert not isinstance(first, errors.HoldfastError)
    assert not isinstance(third, errors.HoldfastError)
    assert isinstance(second, errors.RefusedError)
    assert [one.path for one in opened.list_objects("/data")] == ["/data/a", "/data/c"]


def test_names_and_folders(opened: store.Store) -> None:
    opened.make_folder("/data/sub")
    opened.put("/data/a", b"x")
    opened.rename("/data/a", "/data/sub/b")

    assert not opened.exists("/data/a")
    assert opened.exists("/data/sub/b")
    opened.delete("/data/sub", recursive=True)
    assert list(opened.list_objects("/data")) == []


def test_append_snapshots_shards_and_changes(opened: store.Store) -> None:
    opened.put("/data/log", b"one")
    taken = opened.create_snapshot("data", "before")
    opened.append("/data/log", b"two", at_size=3)

    assert opened.read("/data/log") == b"onetwo"
    assert opened.read(f"{taken.root}/log") == b"one"
    assert [one.name for one in opened.snapshots("data")] == ["before"]
    assert [one.path for one in opened.changes("data", "before")] == ["/data/log"]
    (shard,) = opened.shards("/data/log")
    assert (shard.offset, shard.length) == (0, 6)
    opened.remove_snapshot("data", "before")
    assert opened.snapshots("data") == ()


def test_threads_share_a_store(opened: store.Store) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            opened.put(f"/data/{number}/{turn}", bytes([number]) * 100)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(1 for _ in opened.list_objects("/data")) == 80
    assert opened.read("/data/3/19") == b"\3" * 100


def test_a_closed_store_refuses(opened: store.Store) -> None:
    opened.close()

    with pytest.raises(errors.HoldfastError):
        opened.put("/data/x", b"")
