"""Many threads at one engine: what the contract says of one of them holds for all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures

import pytest

from holdfast import errors
from holdfast.engines import api
from tests.conformance import tools

THREADS = 8


def together(work: Callable[[int], object]) -> list[str]:
    """What came of `work(0)`, `work(1)`, ... that start at one moment: `done`, or an error's code."""
    start = threading.Barrier(THREADS)

    def one(number: int) -> str:
        start.wait(20)
        try:
            work(number)
        except errors.HoldfastError as error:
            return error.code
        return "done"

    with futures.ThreadPoolExecutor(THREADS) as pool:
        return sorted(pool.map(one, range(THREADS)))


@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_of_racing_puts_exactly_one_wins(data: api.DataPlane, size: int) -> None:
    for attempt in range(5):
        path = f"/data/{attempt}/a"

        told = together(lambda n, path=path: data.put(path, tools.content(size, n) + bytes([n])))  # type: ignore[misc] # bound early

        assert told == ["done"] + ["object.exists"] * (THREADS - 1)
        found = tools.read(data, path)
        assert found == tools.content(size, found[-1]) + found[-1:]


def test_of_racing_overwrites_one_is_whole_in_the_end(data: api.DataPlane) -> None:
    data.put("/data/a", b"old")

    told = together(
        lambda n: data.put("/data/a", tools.content(150_000, n) + bytes([n]), overwrite=True)
    )

    assert told == ["done"] * THREADS
    found = tools.read(data, "/data/a")
    assert found == tools.content(150_000, found[-1]) + found[-1:]


def test_of_racing_renames_of_one_object_one_wins(data: api.DataPlane) -> None:
    data.put("/data/a", b"x")

    told = together(lambda n: data.rename("/data/a", f"/data/to/{n}"))

    assert told == ["done"] + ["object.not_found"] * (THREADS - 1)
    assert len(tools.paths(data, "/data")) == 1


def test_of_racing_renames_to_one_name_one_wins(data: api.DataPlane) -> None:
    for number in range(THREADS):
        data.put(f"/data/from/{number}", b"x")

    told = together(lambda n: data.rename(f"/data/from/{n}", "/data/a"))

    assert told == ["done"] + ["object.exists"] * (THREADS - 1)
    assert len(tools.paths(data, "/data")) == THREADS


def test_of_racing_deletes_one_wins(data: api.DataPlane) -> None:
    data.put("/data/a", b"x")

    told = together(lambda _: data.delete("/data/a"))

    assert told == ["done"] + ["object.not_found"] * (THREADS - 1)


def test_a_folder_and_an_object_do_not_share_a_name(data: api.DataPlane) -> None:
    for attempt in range(5):
        told = together(
            lambda n, a=attempt: data.put(f"/data/{a}" + "/x" * (n % 2), b"x")  # type: ignore[misc] # bound early
        )

        done = [path for path in tools.paths(data, "/data") if path.startswith(f"/data/{attempt}")]
        assert told.count("done") == len(done) == 1


def test_of_racing_appends_at_one_size_one_wins(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/log", b"start")

    told = together(lambda n: append.append("/kept/log", bytes([n]) * 1000, at_size=5))

    assert told == ["append.size_changed"] * (THREADS - 1) + ["done"]
    found = tools.read(engine.data, "/kept/log")
    assert found == b"start" + found[-1:] * 1000


def test_racing_appends_are_all_there_and_whole(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/log", b"")

    told = together(lambda n: [append.append("/kept/log", bytes([n]) * 1000) for _ in range(5)])

    assert told == ["done"] * THREADS
    found = tools.read(engine.data, "/kept/log")
    parts = [found[at : at + 1000] for at in range(0, len(found), 1000)]
    assert sorted(parts) == sorted(bytes([n]) * 1000 for n in range(THREADS) for _ in range(5))


def test_of_racing_snapshots_of_one_name_one_wins(engine: api.Engine) -> None:
    snapshots = api.need(engine, api.Snapshots)

    told = together(lambda _: snapshots.create_snapshot("data", "one"))

    assert told == ["done"] + ["snapshot.exists"] * (THREADS - 1)


def test_a_quota_holds_against_many_at_once(data: api.DataPlane) -> None:
    told = together(lambda n: data.put(f"/limited/tight/{n}", tools.content(60_000, n)))

    assert told == ["done"] * 3 + ["quota.full"] * (THREADS - 3)
    assert len(tools.paths(data, "/limited")) == 3


def test_a_reader_never_sees_a_mixture(data: api.DataPlane) -> None:
    """Seven read while one overwrites: each read is one content from its start to its end."""
    data.put("/data/a", bytes([0]) * 100_000)
    done = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            for fill in range(1, 30):
                data.put("/data/a", bytes([fill]) * 100_000, overwrite=True)
            done.set()
            return
        while not done.is_set():
            found = tools.read(data, "/data/a")
            assert found == found[:1] * 100_000

    assert together(work) == ["done"] * THREADS


def test_a_folder_is_always_under_exactly_one_name_while_it_is_renamed(engine: api.Engine) -> None:
    if not engine.capabilities.atomic_rename:
        return
    data = engine.data
    for number in range(20):
        data.put(f"/data/top/a/{number:02}", b"x")
    done = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            for _ in range(20):
                data.rename("/data/top/a", "/data/top/b")
                data.rename("/data/top/b", "/data/top/a")
            done.set()
            return
        while not done.is_set():
            assert len(tools.paths(data, "/data/top", recursive=False)) == 1

    assert together(work) == ["done"] * THREADS
    assert len(tools.paths(data, "/data/top/a")) == 20


def test_what_stays_is_listed_once_while_others_come_and_go(data: api.DataPlane) -> None:
    stays = [f"/data/{folder}/stays{n}" for folder in "abcdef" for n in range(5)]
    for path in stays:
        data.put(path, b"x")
    done = threading.Event()

    def work(number: int) -> None:
        if number < 2:
            for turn in range(40):
                path = f"/data/{'abcdef'[turn % 6]}/brief{number}"
                data.put(path, b"x")
                data.delete(path)
            if number == 0:
                done.set()
            return
        while not done.is_set():
            seen = [path for path in tools.paths(data, "/data") if "stays" in path]
            assert seen == stays

    assert together(work) == ["done"] * THREADS
