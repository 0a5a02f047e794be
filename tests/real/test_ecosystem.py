"""pandas, pyarrow, DuckDB and zarr read and write through holdfast://."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as papq
import pytest
import zarr
from fsspec.implementations import asyn_wrapper
from fsspec.implementations.local import LocalFileSystem
from tests.unit.client import stores

from holdfast.client import filesystem

FRAME = pd.DataFrame({"number": range(10_000), "name": [f"row {i}" for i in range(10_000)]})


@pytest.fixture(params=["memory", "embedded"])
def fs(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[filesystem.HoldfastFileSystem]:
    with stores.opened(request.param, tmp_path) as opened:
        yield filesystem.HoldfastFileSystem(store=opened)


def test_pandas_writes_and_reads_csv_and_parquet(fs: filesystem.HoldfastFileSystem) -> None:
    options = {"store": fs.store}

    FRAME.to_csv("holdfast:///data/t.csv", index=False, storage_options=options)
    FRAME.to_parquet("holdfast:///data/t.parquet", storage_options=options)

    pd.testing.assert_frame_equal(
        pd.read_csv("holdfast:///data/t.csv", storage_options=options), FRAME
    )
    pd.testing.assert_frame_equal(
        pd.read_parquet("holdfast:///data/t.parquet", storage_options=options), FRAME
    )
    assert isinstance(fs, filesystem.HoldfastFileSystem)
    assert not isinstance(fs, LocalFileSystem)


def test_pyarrow_writes_and_reads_a_partitioned_dataset(
    fs: filesystem.HoldfastFileSystem,
) -> None:
    table = pa.table({"part": [i % 4 for i in range(1000)], "value": list(range(1000))})
    arrow_fs = pa.fs.PyFileSystem(pa.fs.FSSpecHandler(fs))

    pads.write_dataset(
        table, "/data/set", format="parquet", filesystem=arrow_fs,
        partitioning=pads.partitioning(pa.schema([("part", pa.int64())]), flavor="hive"),
    )
    found = pads.dataset("/data/set", filesystem=arrow_fs, partitioning="hive").to_table()

    assert len(fs.find("/data/set")) == 4
    assert found.num_rows == 1000
    assert sorted(found["value"].to_pylist()) == list(range(1000))
    papq.write_table(table, "/data/one.parquet", filesystem=arrow_fs)
    assert papq.read_table("/data/one.parquet", filesystem=arrow_fs).equals(table)


def test_duckdb_queries_and_copies(fs: filesystem.HoldfastFileSystem) -> None:
    FRAME.to_parquet("holdfast:///data/t.parquet", storage_options={"store": fs.store})
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)

        row = connection.execute(
            "select count(*), sum(number) from 'holdfast:///data/*.parquet' where number >= 5000"
        ).fetchone()
        connection.execute(
            "copy (select * from range(100) t(n)) to 'holdfast:///data/out.parquet' (format parquet)"
        )
        back = connection.execute("select sum(n) from 'holdfast:///data/out.parquet'").fetchone()

    assert row == (5000, sum(range(5000, 10_000)))
    assert back == (sum(range(100)),)


def test_zarr_writes_and_reads_a_group(fs: filesystem.HoldfastFileSystem) -> None:
    values = np.arange(100 * 100, dtype="f8").reshape(100, 100)
    place = zarr.storage.FsspecStore(_asynchronous(fs), path="/data/cube.zarr")

    group = zarr.open_group(place, mode="w")
    array = group.create_array("a", shape=values.shape, chunks=(25, 25), dtype="f8")
    array[:] = values
    again = zarr.open_group(place, mode="r")["a"]

    assert isinstance(again, zarr.Array)
    np.testing.assert_array_equal(np.asarray(again[:]), values)
    np.testing.assert_array_equal(np.asarray(again[10:20, 90:]), values[10:20, 90:])


def _asynchronous(fs: filesystem.HoldfastFileSystem) -> object:
    """zarr speaks to asynchronous file systems; fsspec wraps the others."""
    return asyn_wrapper.AsyncFileSystemWrapper(fs, asynchronous=True)
