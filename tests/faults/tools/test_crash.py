"""The crash harness passes a store that is right and catches each that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import crash, workload
from tests.support.crash import Crash, Harness
from tests.support.workload import Op

pytestmark = pytest.mark.fault

OPS = (
    Op("put", "/data/a", size=5000, seed=1),
    Op("batch", "/data/many", size=100, seed=2, count=3),
    Op("put", "/data/b", size=7000, seed=3),
    Op("put", "/data/b", size=200, seed=4),
    Op("rename", "/data/b", target="/data/c"),
    Op("delete", "/data/a"),
)


def test_a_store_that_is_right_passes_every_crash(tmp_path: Path) -> None:
    with harness(tmp_path, "RightStore") as one:
        points = one.points(OPS)
        wrong = [(point, one.trial(OPS, point)) for point in points]

    assert len(points) > 30
    assert [found for found in wrong if found[1]] == []


@pytest.mark.parametrize(
    "store", ["NamesFirstStore", "FreesFirstStore", "HalfRenameStore", "EarlyAnswerStore"]
)
def test_a_store_that_is_wrong_is_caught(tmp_path: Path, store: str) -> None:
    with harness(tmp_path, store) as one:
        wrong = [sentence for point in one.points(OPS) for sentence in one.trial(OPS, point)]

    assert wrong != []


def test_a_second_crash_while_recovering_is_caught(tmp_path: Path) -> None:
    with harness(tmp_path, "ForgetfulStore") as one:
        first = one.points(OPS)[-1]
        wrong = [
            sentence
            for nth in range(1, 6)
            for sentence in one.trial(OPS, first, Crash(name=crash.ANY, nth=nth))
        ]

    assert wrong != []


def test_a_right_store_survives_two_crashes_in_a_row(tmp_path: Path) -> None:
    with harness(tmp_path, "RightStore") as one:
        points = one.points(OPS)[::7]
        wrong = [
            sentence
            for point in points
            for nth in (1, 2, 4, 7)
            for sentence in one.trial(OPS, point, Crash(name=crash.ANY, nth=nth))
        ]

    assert wrong == []


def test_the_process_really_dies_at_the_point(tmp_path: Path) -> None:
    with harness(tmp_path, "RightStore") as one:
        one.reset()
        run = one.run(OPS, Crash(name="toy.free", nth=1))

    assert (run.ended, run.done, run.started) == ("killed", 5, 6)


def test_the_oracle_knows_snapshots_appends_and_folders() -> None:
    ops = (
        Op("put", "/d/f/x", size=10, seed=1),
        Op("snapshot", "/d/.snapshot/s"),
        Op("append", "/d/f/x", size=5, seed=2),
        Op("rename", "/d/f", target="/d/g"),
        Op("unsnapshot", "/d/.snapshot/s"),
        Op("delete", "/d/g", recursive=True),
    )
    both = workload.content(1, 10) + workload.content(2, 5)

    seen = workload.states(ops)

    assert seen[2].keys() == {"/d/f/x", "/d/.snapshot/s/f/x"}
    assert seen[4] == {
        "/d/g/x": workload.content_id(both),
        "/d/.snapshot/s/f/x": workload.content_id(workload.content(1, 10)),
    }
    assert seen[5].keys() == {"/d/g/x"}
    assert seen[6] == {}


def harness(folder: Path, store: str) -> Harness:
    prepared = folder / "prepared"
    prepared.mkdir()
    target = crash.Target(factory=f"tests.faults.tools.toy_store:{store}", prepared=prepared)
    return Harness(target, folder / "store")
