from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import fsspec
import pytest

from holdfast import errors
from holdfast.client import files, filesystem, store

LARGE = os.urandom(1 << 20) * 9


def test_the_protocol_is_registered() -> None:
    assert fsspec.get_filesystem_class("holdfast") is filesystem.HoldfastFileSystem


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("holdfast://data/x", "/data/x"),
        ("holdfast:///data/x/", "/data/x"),
        ("/data//x/", "/data/x"),
        ("data/x", "/data/x"),
        ("holdfast://", "/"),
        ("", "/"),
    ],
)
def test_paths_are_the_stores_own(path: str, plain: str) -> None:
    assert filesystem.HoldfastFileSystem._strip_protocol(path) == plain


def test_a_large_file_is_streamed_and_read_at_random(fs: filesystem.HoldfastFileSystem) -> None:
    with fs.open("/data/large", "wb") as sink:
        for at in range(0, len(LARGE), 100_000):
            sink.write(LARGE[at : at + 100_000])
        assert not fs.exists("/data/large")

    with fs.open("/data/large", "rb") as source:
        source.seek(5_000_000)
        assert source.read(10) == LARGE[5_000_000:5_000_010]
        source.seek(-3, 2)
        assert source.read() == LARGE[-3:]
        source.seek(0)
        assert source.read() == LARGE
    assert fs.info("/data/large")["size"] == len(LARGE)


@pytest.mark.parametrize("size", [10, files.BLOCK_BYTES + 10], ids=["small", "streamed"])
def test_a_block_that_ends_in_an_error_publishes_nothing(
    fs: filesystem.HoldfastFileSystem, size: int
) -> None:
    with pytest.raises(RuntimeError), fs.open("/data/x", "wb") as sink:
        sink.write(bytes(size))
        raise RuntimeError

    assert fs.find("/data") == []


def test_an_error_of_the_store_reaches_the_writer(fs: filesystem.HoldfastFileSystem) -> None:
    with pytest.raises(OSError) as caught, fs.open("/tiny/x", "wb") as sink:
        sink.write(LARGE)

    assert caught.value.errno == errno.EDQUOT
    assert isinstance(caught.value.__cause__, errors.RefusedError)
    assert fs.find("/tiny") == []


@pytest.mark.parametrize("size", [10, files.BLOCK_BYTES + 10], ids=["small", "streamed"])
def test_a_transaction_publishes_on_its_end(fs: filesystem.HoldfastFileSystem, size: int) -> None:
    with fs.transaction:
        with fs.open("/data/a", "wb") as sink:
            sink.write(b"a" * size)
        assert not fs.exists("/data/a")

    assert fs.cat("/data/a") == b"a" * size

    with pytest.raises(RuntimeError), fs.transaction:
        with fs.open("/data/b", "wb") as sink:
            sink.write(b"b" * size)
        raise RuntimeError

    assert not fs.exists("/data/b")


def test_append_grows_an_object_or_makes_it(fs: filesystem.HoldfastFileSystem) -> None:
    for part in (b"one", b"two", b"x" * files.BLOCK_BYTES * 2):
        with fs.open("/data/log", "ab") as sink:
            sink.write(part)

    assert fs.cat("/data/log") == b"onetwo" + b"x" * files.BLOCK_BYTES * 2
    with pytest.raises(OSError) as caught:
        for _ in range(2):
            with fs.open("/videos/log", "ab") as sink:
                sink.write(b"x")
    assert caught.value.errno == errno.EOPNOTSUPP


def test_an_open_file_reads_one_version(fs: filesystem.HoldfastFileSystem) -> None:
    fs.pipe("/data/x", LARGE)
    with fs.open("/data/x", "rb", block_size=1000) as source:
        assert source.read(10) == LARGE[:10]
        fs.pipe("/data/x", LARGE[::-1])

        with pytest.raises(OSError) as caught:
            source.seek(2_000_000)
            source.read(10)

    assert caught.value.errno == errno.ESTALE


def test_exclusive_creation_is_atomic(fs: filesystem.HoldfastFileSystem) -> None:
    with pytest.raises(FileExistsError), fs.open("/data/x", "xb") as sink:
        sink.write(b"mine")
        fs.pipe("/data/x", b"theirs")

    assert fs.cat("/data/x") == b"theirs"


def test_ranges_may_be_negative(fs: filesystem.HoldfastFileSystem) -> None:
    fs.pipe("/data/x", b"0123456789")

    assert fs.cat_file("/data/x", start=2, end=4) == b"23"
    assert fs.cat_file("/data/x", start=-3) == b"789"
    assert fs.cat_file("/data/x", end=-8) == b"01"
    assert fs.cat_file("/data/x", start=5, end=2) == b""
    assert fs.cat_ranges(["/data/x"] * 2, [0, 5], [2, 7]) == [b"01", b"56"]


def test_mv_renames_overwrites_and_moves_into_folders(fs: filesystem.HoldfastFileSystem) -> None:
    fs.pipe({"/data/a": b"a", "/data/b": b"b", "/data/tree/c": b"c"})
    version = fs.info("/data/a")["version"]

    fs.mv("/data/a", "/data/renamed")
    assert fs.info("/data/renamed")["version"] == version
    fs.mv("/data/renamed", "/data/b")
    assert fs.cat("/data/b") == b"a"
    fs.mv("/data/b", "/data/tree")
    fs.mv("/data/tree", "/videos/tree", recursive=True)

    assert fs.find("/data") == []
    assert fs.cat("/videos/tree/b") == b"a"
    with pytest.raises(FileNotFoundError):
        fs.mv("/data/none", "/data/other")


def test_rm_of_a_folder_needs_recursive(fs: filesystem.HoldfastFileSystem) -> None:
    fs.pipe({"/data/tree/a": b"a", "/data/x1": b"", "/data/x2": b""})

    with pytest.raises(OSError) as caught:
        fs.rm("/data/tree")
    assert caught.value.errno == errno.ENOTEMPTY
    fs.rm("/data/tree", recursive=True)
    fs.rm("/data/x*")

    assert fs.ls("/data") == []
    with pytest.raises(FileNotFoundError):
        fs.rm("/data/none")


def test_folders_are_kept(fs: filesystem.HoldfastFileSystem) -> None:
    fs.makedirs("/data/a/b")

    assert fs.isdir("/data/a/b")
    with pytest.raises(FileExistsError):
        fs.mkdir("/data/a")
    with pytest.raises(FileNotFoundError):
        fs.mkdir("/data/c/d", create_parents=False)
    with pytest.raises(OSError):
        fs.rmdir("/data/a")
    fs.rmdir("/data/a/b")
    fs.rmdir("/data/a")
    assert fs.ls("/data") == []


def test_touch_makes_and_empties(fs: filesystem.HoldfastFileSystem) -> None:
    fs.pipe("/data/x", b"full")

    fs.touch("/data/x", truncate=False)
    assert fs.cat("/data/x") == b"full"
    fs.touch("/data/x")
    assert fs.cat("/data/x") == b""


def test_keys_change_with_the_content(fs: filesystem.HoldfastFileSystem) -> None:
    fs.pipe("/data/x", b"one")
    before = (fs.ukey("/data/x"), fs.checksum("/data/x"))

    assert (fs.ukey("/data/x"), fs.checksum("/data/x")) == before
    fs.pipe("/data/x", b"two")
    after = (fs.ukey("/data/x"), fs.checksum("/data/x"))

    assert before[0] != after[0]
    assert before[1] != after[1]
    assert fs.modified("/data/x").tzinfo is not None


def test_a_snapshot_is_read_and_not_written(
    fs: filesystem.HoldfastFileSystem, opened: store.Store
) -> None:
    fs.pipe("/data/x", b"old")
    opened.create_snapshot("data", "before")
    fs.pipe("/data/x", b"new")

    assert fs.cat("/data/.snapshot/before/x") == b"old"
    with pytest.raises(OSError) as caught:
        fs.pipe("/data/.snapshot/before/y", b"no")
    assert caught.value.errno == errno.EROFS


def test_errors_are_those_of_files(fs: filesystem.HoldfastFileSystem) -> None:
    with pytest.raises(FileNotFoundError):
        fs.open("/data/none")
    with pytest.raises(FileNotFoundError):
        fs.ls("/data/none")
    with pytest.raises(IsADirectoryError):
        fs.open("/data")
    with pytest.raises(IsADirectoryError):
        fs.open("/data", "wb")
    assert not fs.exists("/data/a\nb")


def test_a_filesystem_that_is_closed_over_a_file_is_pickled(tmp_path: Path) -> None:
    made = filesystem.HoldfastFileSystem(file=str(tmp_path / "holdfast.yaml"))

    again = pickle.loads(pickle.dumps(made))

    assert again.storage_options == made.storage_options
    with pytest.raises(OSError) as caught:
        again.ls("/")
    assert caught.value.errno == errno.EINVAL
