"""kill -9 at every durable step, also twice in a row: what was acknowledged is there, all of it.

`make test` takes a seeded choice of the crash points, `make soak` all of them (HOLDFAST_SEED
chooses another choice and other second crashes).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.histories import HISTORIES
from tests.support import crash, embedded_target
from tests.support.crash import ANY, NEVER, Crash, Harness
from tests.support.workload import Op

pytestmark = pytest.mark.fault

SEED = int(os.environ.get("HOLDFAST_SEED", "1"))
CHOSEN = 4
SECOND_MAX = 40
WITH_IMAGES = "images"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash")
    store = embedded_target.prepare(folder / "store")
    return store.rename(folder / "prepared")


@pytest.fixture(scope="module")
def harness(prepared: Path) -> Iterator[Harness]:
    with Harness(target(prepared, "EmbeddedTarget"), prepared.with_name("store")) as one:
        yield one


@pytest.fixture(scope="module")
def harness_with_images(prepared: Path) -> Iterator[Harness]:
    with Harness(target(prepared, "open_with_images"), prepared.with_name("store")) as one:
        yield one


@pytest.mark.parametrize("name", HISTORIES)
def test_a_kill_at_a_chosen_step_loses_nothing(name: str, harness: Harness) -> None:
    assert wrong_after(harness, name, CHOSEN) == []


def test_a_kill_at_each_step_of_a_commit_loses_nothing(harness: Harness) -> None:
    ops = (Op("put", "/data/a", size=3000, seed=1), Op("put", "/data/b", size=3000, seed=2))
    points = [point for point in harness.points(ops) if str(point.name).startswith("log.")]

    wrong = [(point, found) for point in points if (found := harness.trial(ops, point))]

    assert wrong == []


@pytest.mark.parametrize("name", ["overwrite", "snapshot", "delete"])
def test_a_kill_while_the_log_is_truncated_loses_nothing(
    name: str, harness_with_images: Harness
) -> None:
    assert wrong_after(harness_with_images, name, CHOSEN) == []


@pytest.mark.soak
@pytest.mark.timeout(3600, method="signal")
@pytest.mark.parametrize("name", HISTORIES)
def test_a_kill_at_any_step_loses_nothing(name: str, harness: Harness) -> None:
    assert wrong_after(harness, name, None) == []


@pytest.mark.soak
@pytest.mark.timeout(3600, method="signal")
@pytest.mark.parametrize("name", HISTORIES)
def test_a_kill_at_any_step_with_a_truncated_log_loses_nothing(
    name: str, harness_with_images: Harness
) -> None:
    assert wrong_after(harness_with_images, name, None) == []


def target(prepared: Path, factory: str) -> crash.Target:
    return crash.Target(
        factory=f"tests.support.embedded_target:{factory}", prepared=prepared,
        forget=(embedded_target.STATE,),
    )


def wrong_after(one: Harness, name: str, count: int | None) -> list[tuple[Crash, Crash, str]]:
    """What is wrong after crashes in a history: every second trial crashes twice."""
    chooser = random.Random(f"{SEED} {name}")
    ops = HISTORIES[name]
    points = one.points(ops)
    chosen = points if count is None else spread(points, count, chooser)
    wrong = []
    for number, first in enumerate(chosen):
        second = Crash(name=ANY, nth=chooser.randint(1, SECOND_MAX)) if number % 2 else NEVER
        wrong += [(first, second, sentence) for sentence in one.trial(ops, first, second)]
    return wrong


def spread(points: list[Crash], count: int, chooser: random.Random) -> list[Crash]:
    """`count` points, of as many names as there are."""
    names = sorted({str(point.name) for point in points})
    chooser.shuffle(names)
    return [
        chooser.choice([point for point in points if point.name == names[number % len(names)]])
        for number in range(count)
    ]
