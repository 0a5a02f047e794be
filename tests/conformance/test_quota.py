from __future__ import annotations

import pytest

from holdfast.engines import api
from tests.conformance import engines, tools

QUOTA = engines.QUOTA_BYTES


def test_a_dataset_takes_exactly_its_quota(data: api.DataPlane) -> None:
    data.put("/limited/tight/a", tools.content(QUOTA - 5000))
    data.put("/limited/tight/b", tools.content(5000))

    with tools.refuses("quota.full"):
        data.put("/limited/tight/c", b"x")
    data.put("/limited/tight/empty", b"")

    assert tools.paths(data, "/limited") == [
        "/limited/tight/a", "/limited/tight/b", "/limited/tight/empty",
    ]


@pytest.mark.parametrize("announced", [True, False])
def test_a_put_beyond_the_quota_leaves_nothing(data: api.DataPlane, announced: bool) -> None:
    whole = tools.content(QUOTA + 1)

    with tools.refuses("quota.full"):
        data.put(
            "/limited/tight/new/a", tools.dribble(whole), size=len(whole) if announced else None
        )

    assert tools.paths(data, "/limited/tight", recursive=False) == []


def test_an_overwrite_counts_the_difference(data: api.DataPlane) -> None:
    data.put("/limited/tight/a", tools.content(QUOTA - 10))

    with tools.refuses("quota.full"):
        data.put("/limited/tight/a", tools.content(QUOTA + 1), overwrite=True)
    assert data.stat("/limited/tight/a").size_bytes == QUOTA - 10
    data.put("/limited/tight/a", tools.content(QUOTA), overwrite=True)
    data.put("/limited/tight/a", tools.content(QUOTA, "same size"), overwrite=True)
    data.put("/limited/tight/a", tools.content(100), overwrite=True)
    data.put("/limited/tight/b", tools.content(QUOTA - 100))

    assert data.stat("/limited/tight/a").size_bytes == 100


def test_what_is_deleted_makes_room(data: api.DataPlane) -> None:
    data.put("/limited/tight/f/a", tools.content(QUOTA // 2))
    data.put("/limited/tight/f/b", tools.content(QUOTA // 2))
    data.rename("/limited/tight/f", "/limited/tight/g")
    with tools.refuses("quota.full"):
        data.put("/limited/tight/c", b"x")

    data.delete("/limited/tight/g", recursive=True)

    data.put("/limited/tight/c", tools.content(QUOTA))


def test_what_only_a_snapshot_holds_does_not_count(engine: api.Engine) -> None:
    data = engine.data
    data.put("/limited/tight/a", tools.content(QUOTA))
    api.need(engine, api.Snapshots).create_snapshot("tight", "one")
    data.delete("/limited/tight/a")

    data.put("/limited/tight/b", tools.content(QUOTA, "b"))

    assert tools.read(data, "/limited/tight/.snapshot/one/a") == tools.content(QUOTA)
