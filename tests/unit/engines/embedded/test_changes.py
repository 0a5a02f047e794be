"""Requests judge themselves where they become true: quotas are exact however many race."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.support import embedded
from tests.unit.engines.embedded import small_store

from holdfast import errors
from holdfast.engines.embedded import engine
from holdfast.model import spec, topology

QUOTA = 100_000


@pytest.fixture
def limited(tmp_path: Path) -> engine.EmbeddedEngine:
    asked = spec.Spec(
        cluster="quota", file="", engine=spec.EngineSpec(kind="embedded"),
        datasets=(spec.DatasetSpec(name="d", path="/d", protection=topology.replicas(2),
                                   quota_bytes=QUOTA, min_margin=1),))
    return embedded.copied_engine(tmp_path / "store", asked, count=3)


def used(store: engine.EmbeddedEngine) -> int:
    return sum(info.size_bytes or 0 for info in store.list_objects("/d"))


def race(store: engine.EmbeddedEngine, threads: int, work: str) -> list[BaseException]:
    """Many threads that put, overwrite or append until the quota refuses; unexpected failures."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for step in range(40):
                try:
                    if work == "append":
                        store.append("/d/log", b"x" * (700 + number))
                    else:
                        name = f"{number}-{step}" if work == "put" else f"{step % 4}"
                        store.put(f"/d/{name}", b"x" * (900 + 97 * step), overwrite=True)
                except errors.RefusedError as error:
                    if error.code != "quota.full":
                        raise
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return failures


@pytest.mark.parametrize("work", ["put", "overwrite", "append"])
def test_a_quota_is_never_passed_and_what_is_counted_is_what_is_there(
    limited: engine.EmbeddedEngine, work: str
) -> None:
    if work == "append":
        limited.put("/d/log", b"")

    failures = race(limited, 8, work)

    row = limited.opened().catalog.read(
        lambda one: one.execute("SELECT used FROM datasets WHERE name='d'").fetchone())
    assert failures == []
    assert row == (used(limited),)
    assert used(limited) <= QUOTA
    left = QUOTA - used(limited)
    limited.put("/d/exactly", b"x" * left)
    with pytest.raises(errors.RefusedError) as caught:
        limited.put("/d/one more", b"x")
    assert caught.value.code == "quota.full"
    limited.close()


def test_an_overwrite_and_an_append_count_the_difference(limited: engine.EmbeddedEngine) -> None:
    limited.put("/d/a", b"x" * (QUOTA - 10))
    limited.put("/d/a", b"y" * QUOTA, overwrite=True)
    limited.put("/d/a", b"y" * (QUOTA - 5), overwrite=True)
    limited.append("/d/a", b"12345")

    with pytest.raises(errors.RefusedError):
        limited.append("/d/a", b"6")

    assert used(limited) == QUOTA
    limited.close()


@pytest.mark.parametrize("size", [500, 300_000])
@pytest.mark.parametrize("min_margin", [1, 2])
def test_a_dataset_may_refuse_to_be_written_with_less_margin(
    tmp_path: Path, size: int, min_margin: int
) -> None:
    asked = spec.Spec(
        cluster="margin", file="", engine=spec.EngineSpec(kind="embedded"),
        datasets=(spec.DatasetSpec(name="d", path="/d", protection=topology.replicas(3),
                                   min_margin=min_margin),))
    store = embedded.copied_engine(tmp_path / "store", asked, count=3)
    store.put("/d/before", small_store.content("before", size))
    store.close()
    (tmp_path / "store" / "d2").rename(tmp_path / "away")  # two copies are left: a margin of one
    store = engine.EmbeddedEngine(store.wanted)
    store.open()

    if min_margin == 1:
        store.put("/d/new", small_store.content("new", size))
        assert small_store.read(store, "/d/new") == small_store.content("new", size)
    else:
        with pytest.raises(errors.HoldfastError) as caught:
            store.put("/d/new", small_store.content("new", size))
        assert caught.value.code in {"put.margin_too_low", "write.too_few_nodes_now"}
        assert [info.path for info in store.list_objects("/d")] == ["/d/before"]
    store.close()
