"""Several processes write one store; one of them dies or freezes, or its state folder goes."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.engines.embedded import engine as embedded
from tests.support import embedded_target, processes
from tests.support.embedded_target import EmbeddedTarget
from tests.support.processes import Writer
from tests.support.workload import Op, View, content, content_id, states

pytestmark = pytest.mark.fault

WRITERS = 4
OPERATIONS = 40
FACTORY = "tests.support.embedded_target:EmbeddedTarget"
LOCKED = ("log.sync", 23)
IMPATIENT = dataclasses.replace(embedded_target.TUNING, lock_wait_s=1.0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return embedded_target.prepare(tmp_path / "store")


def test_four_writers_lose_nothing_of_each_other(store: Path, tmp_path: Path) -> None:
    with four(store, tmp_path) as writers:
        for one in writers:
            one.wait()

    assert [one.errors() for one in writers] == [[], [], [], []]
    assert view(store) == everything([OPERATIONS] * WRITERS)


def test_a_writer_that_is_killed_with_the_lock_stops_nobody(store: Path, tmp_path: Path) -> None:
    with four(store, tmp_path, freeze_at=LOCKED) as writers:
        writers[0].wait_until_frozen()
        holders = lock_holders(store)
        writers[0].kill()
        for one in writers[1:]:
            one.wait()

    assert holders == {writers[0].pid}
    done, started = writers[0].done(), writers[0].done() + 1
    seen = view(store)
    assert [one.errors() for one in writers[1:]] == [[], [], []]
    assert seen in [everything([mine, *[OPERATIONS] * 3]) for mine in (done, started)]


def test_a_frozen_writer_is_named_and_goes_on_when_it_thaws(store: Path, tmp_path: Path) -> None:
    with frozen_writer(store, tmp_path) as writer:
        holders = lock_holders(store)
        target = EmbeddedTarget(str(store), IMPATIENT)
        with pytest.raises(errors.UnavailableError) as caught:
            target.engine.put("/data/mine", b"mine")
        writer.thaw()
        target.engine.put("/data/mine", b"mine")
        writer.wait()
        target.close()

    assert holders == {writer.pid}
    assert caught.value.code == "log.locked"
    assert str(writer.pid) in str(caught.value)
    assert writer.errors() == []
    assert view(store) == {
        **everything([OPERATIONS, 0, 0, 0]), "/data/mine": content_id(b"mine")
    }


def test_readers_go_on_while_the_lock_is_held_by_a_frozen_writer(
    store: Path, tmp_path: Path
) -> None:
    with frozen_writer(store, tmp_path):
        target = EmbeddedTarget(str(store), IMPATIENT)
        with target.engine.get("/data/w0/0") as source:
            seen = source.read()
        target.close()

    assert seen == content(0, 700)


def test_the_state_folder_may_go_under_an_open_store(store: Path) -> None:
    target = EmbeddedTarget(str(store))
    target.engine.put("/data/before", b"before")

    shutil.rmtree(store / embedded_target.STATE)
    target.engine.put("/data/after", b"after")
    seen = target.view()
    target.close()

    expected = {"/data/before": content_id(b"before"), "/data/after": content_id(b"after")}
    assert seen == expected
    assert view(store) == expected


def test_two_state_folders_over_the_same_nodes_agree(store: Path, tmp_path: Path) -> None:
    wanted = embedded_target.specification(store)
    other = dataclasses.replace(wanted, state=str(tmp_path / "other-state"))
    engines = [embedded.EmbeddedEngine(one, tuning=embedded_target.TUNING)
               for one in (wanted, other)]
    for one in engines:
        one.open()

    for number in range(10):
        engines[number % 2].put(f"/data/{number}", b"%d" % number)
    with pytest.raises(errors.RefusedError):
        engines[0].put("/data/9", b"again")
    listed = [[info.path for info in one.list_objects("/data")] for one in engines]
    for one in engines:
        one.close()

    assert listed[0] == listed[1] == [f"/data/{number}" for number in range(10)]


@contextlib.contextmanager
def four(
    store: Path, folder: Path, freeze_at: tuple[str, int] = ("", 0)
) -> Iterator[list[Writer]]:
    """Four writers, of which the first may freeze itself."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                processes.writer(FACTORY, store, history(number), folder / f"report{number}",
                                 freeze_at=freeze_at if number == 0 else ("", 0))
            )
            for number in range(WRITERS)
        ]


@contextlib.contextmanager
def frozen_writer(store: Path, folder: Path) -> Iterator[Writer]:
    """A writer that has acknowledged some puts and sleeps in the middle of a commit."""
    with processes.writer(
        FACTORY, store, history(0), folder / "report", freeze_at=LOCKED
    ) as writer:
        writer.wait_until_frozen()
        assert writer.done() > 0
        yield writer


def history(writer: int) -> tuple[Op, ...]:
    """Puts in a folder of its own, some of them large."""
    return tuple(
        Op("put", f"/data/w{writer}/{number}", size=200_000 if number % 10 == 9 else 700,
           seed=writer * 1000 + number)
        for number in range(OPERATIONS)
    )


def everything(done: list[int]) -> View:
    """What writer i leaves after done[i] operations, all together."""
    seen: View = {}
    for writer, count in enumerate(done):
        seen |= states(history(writer))[count]
    return seen


def view(store: Path) -> View:
    target = EmbeddedTarget(str(store))
    try:
        return target.view()
    finally:
        target.close()


def lock_holders(store: Path) -> set[int]:
    """Pids that hold the lock of any log member."""
    return {
        pid for lock in store.glob("d*/log/lock") for pid in processes.lock_holders(lock)
    }
