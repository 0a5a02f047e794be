"""The pieces of work that are measured, each a generator that runs in a child process.

It prepares, yields the amount of work (bytes or objects), does it, yields details, cleans up. What
stands between the two yields is measured. The references are in bench.plain.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from bench.plain import Work, spread
from bench.sources import RECORD_BYTES, Repeated, tree_files
from bench.stores import REPLICAS, create, opened
from holdfast.engines import api

READ_BYTES = 4 << 20


def create_store(folder: str) -> Work:
    yield 1
    create(Path(folder))
    yield {}


def put_large(folder: str, dataset: str, total: int, objects: int, threads: int) -> Work:
    """`objects` objects of `total` bytes together."""
    size = total // objects
    with opened(folder) as engine:
        sources = [cast(BinaryIO, Repeated(size, seed=number)) for number in range(objects)]
        yield size * objects

        def put(number: int) -> None:
            engine.data.put(f"{dataset}/large/{number}", sources[number], size=size)

        yield spread(put, objects, threads)


def get_large(folder: str, dataset: str, total: int, objects: int, threads: int) -> Work:
    """The same objects, each read to its end."""
    size = total // objects
    with opened(folder) as engine:
        yield size * objects

        def get(number: int) -> None:
            buffer = memoryview(bytearray(READ_BYTES))
            got = 0
            with engine.data.get(f"{dataset}/large/{number}") as source:
                while count := source.readinto(buffer):  # type: ignore[attr-defined] # BinaryIO
                    got += count
            if got != size:
                raise RuntimeError(f"object {number}: {got} of {size} bytes")

        yield spread(get, objects, threads)


def put_small(
    folder: str, name: str, count: int, threads: int, dataset: str = REPLICAS
) -> Work:
    """Objects of 4 KiB, each acknowledged by itself; a folder for each thread."""
    record = os.urandom(RECORD_BYTES)
    with opened(folder) as engine:
        yield count

        def put(number: int) -> None:
            engine.data.put(f"{dataset}/{name}/{number % threads}/{number}", record)

        yield spread(put, count, threads)


def batch(folder: str, tree: str, count: int, source: str) -> Work:
    """The records of a tree (or, `memory`: as many without reading files) in one BatchPut."""
    record = os.urandom(RECORD_BYTES)
    with opened(folder) as engine:
        put_many = api.need(engine, api.BatchPut).put_many
        yield count
        items = (
            api.PutItem(
                path=f"{REPLICAS}/batch/{name}", size=RECORD_BYTES,
                source=Path(tree, name).read_bytes() if source == "tree" else record,
            )
            for name in tree_files(count)
        )
        acknowledged = 0
        for answer in put_many(items):
            if isinstance(answer, Exception):
                raise answer
            acknowledged += 1
        if acknowledged != count:
            raise RuntimeError(f"{acknowledged} of {count} records acknowledged")
        yield {}


def per_object(folder: str, name: str, held: int, probes: int) -> Work:
    """Seconds for one put, one stat, one page of a listing, in a store of `held` objects."""
    chooser = random.Random(held)
    names = [f"{REPLICAS}/batch/{one}" for one in chooser.sample(tree_files(held), probes)]
    record = os.urandom(RECORD_BYTES)
    with opened(folder) as engine:
        yield probes
        put_s = _each(lambda at: engine.data.put(f"{REPLICAS}/{name}/{at}", record), probes)
        stat_s = _each(lambda at: engine.data.stat(names[at]), probes)

        def page(at: int) -> None:
            parent = names[at].rpartition("/")[0]
            if sum(1 for _ in engine.data.list_objects(parent, recursive=False)) < 1:
                raise RuntimeError(f"an empty page: {parent}")

        pages = max(1, probes // 20)
        yield {"put": put_s / probes, "stat": stat_s / probes, "page": _each(page, pages) / pages}


def _each(act: Callable[[int], object], count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        act(number)
    return time.perf_counter() - started
