from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects
from tests.conformance import engines, tools


def answers(
    engine: api.Engine, items: list[api.PutItem]
) -> list[objects.ObjectInfo | errors.HoldfastError]:
    return list(api.need(engine, api.BatchPut).put_many(items))


def shown(answer: objects.ObjectInfo | errors.HoldfastError) -> str:
    return answer.path if isinstance(answer, objects.ObjectInfo) else answer.code


def test_every_item_of_a_batch_is_answered_in_order(engine: api.Engine) -> None:
    if tools.offered(engine, api.BatchPut) is None:
        return
    whole = {f"/data/{n % 7}/{n:03}": tools.content(n * 97 % 9000, n) for n in range(300)}

    told = answers(engine, [api.PutItem(path=path, source=held) for path, held in whole.items()])

    assert [shown(answer) for answer in told] == list(whole)
    assert tools.contents(engine.data, "/data") == whole


def test_a_batch_takes_what_put_takes(engine: api.Engine) -> None:
    if tools.offered(engine, api.BatchPut) is None:
        return
    large = tools.content(2 * engines.SHARD_BYTES + 5)
    engine.data.put("/data/old", b"old")

    told = answers(
        engine,
        [
            api.PutItem(path="/data/old", source=b"new", overwrite=True),
            api.PutItem(
                path="/data/a", source=b"a", attributes=objects.Attributes(modified_ns=7)
            ),
            api.PutItem(path="/data/large/", source=io.BytesIO(large), size=len(large)),
            api.PutItem(path="/coded/empty", source=b""),
            api.PutItem(path="/kept/dribble", source=tools.dribble(large[:100_000])),
        ],
    )

    assert [shown(answer) for answer in told] == [
        "/data/old", "/data/a", "/data/large", "/coded/empty", "/kept/dribble",
    ]
    assert tools.contents(engine.data, "/") == {
        "/coded/empty": b"", "/data/a": b"a", "/data/large": large, "/data/old": b"new",
        "/kept/dribble": large[:100_000],
    }
    assert engine.data.stat("/data/a").modified_ns == 7
    assert all(engine.data.stat(shown(answer)) == answer for answer in told)


def test_items_that_fail_do_not_stop_the_others(engine: api.Engine) -> None:
    if tools.offered(engine, api.BatchPut) is None:
        return
    engine.data.put("/data/there", b"there")
    items = {
        "/data/a": None,
        "/data/there": "object.exists",
        "/data/b": None,
        "/data": "object.is_folder",
        "/data/there/x": "object.parent_is_object",
        "/elsewhere/x": "dataset.none",
        "/data/.snapshot/x": "snapshot.read_only",
        "relative": "path.not_absolute",
        "/limited/tight/x": "quota.full",
        "/data/c": None,
    }

    told = answers(
        engine,
        [
            api.PutItem(path=path, source=b"x" * (engines.QUOTA_BYTES + 1))
            for path in items
        ]
        + [
            api.PutItem(path="/data/short", source=b"x", size=2),
            api.PutItem(path="/data/end", source=b"x"),
        ],
    )

    assert [shown(answer) for answer in told] == [
        *(code or path for path, code in items.items()), "put.size_mismatch", "/data/end",
    ]
    assert tools.paths(engine.data, "/") == [
        "/data/a", "/data/b", "/data/c", "/data/end", "/data/there",
    ]


def test_later_items_see_the_earlier_ones(engine: api.Engine) -> None:
    if tools.offered(engine, api.BatchPut) is None:
        return

    told = answers(
        engine,
        [
            api.PutItem(path="/data/a", source=b"first"),
            api.PutItem(path="/data/a", source=b"second"),
            api.PutItem(path="/data/a/b", source=b"below"),
            api.PutItem(path="/data/a", source=b"third", overwrite=True),
            api.PutItem(path="/limited/tight/a", source=b"x" * engines.QUOTA_BYTES),
            api.PutItem(path="/limited/tight/b", source=b"x"),
        ],
    )

    assert [shown(answer) for answer in told] == [
        "/data/a", "object.exists", "object.parent_is_object", "/data/a", "/limited/tight/a",
        "quota.full",
    ]
    assert tools.read(engine.data, "/data/a") == b"third"


SIZES = (0, 10, 4097, 66_000, 140_000)


def test_items_of_every_size_take_effect_in_their_order(engine: api.Engine) -> None:
    """However an engine keeps small and large ones, the last of a batch is what is there."""
    if tools.offered(engine, api.BatchPut) is None:
        return
    items = [
        api.PutItem(
            path=f"/data/{first}-{last}", source=tools.content(size, which), overwrite=True
        )
        for first in SIZES
        for last in SIZES
        for which, size in (("first", first), ("last", last))
    ]

    told = answers(engine, items)

    assert [shown(answer) for answer in told] == [item.path for item in items]
    assert tools.contents(engine.data, "/data") == {
        f"/data/{first}-{last}": tools.content(last, "last") for first in SIZES for last in SIZES
    }


def test_of_two_items_of_one_name_the_first_wins(engine: api.Engine) -> None:
    if tools.offered(engine, api.BatchPut) is None:
        return

    for first in SIZES:
        for last in SIZES:
            path = f"/data/{first}-{last}"
            told = answers(
                engine,
                [
                    api.PutItem(path=path, source=tools.content(first, "first")),
                    api.PutItem(path=path, source=tools.content(last, "last")),
                ],
            )

            assert [shown(answer) for answer in told] == [path, "object.exists"]
            assert tools.read(engine.data, path) == tools.content(first, "first")


def test_an_answered_item_is_there_while_the_batch_goes_on(engine: api.Engine) -> None:
    batch = tools.offered(engine, api.BatchPut)
    if batch is None:
        return
    items = (api.PutItem(path=f"/data/{n}", source=str(n).encode()) for n in range(50))

    for number, answer in enumerate(batch.put_many(items)):
        assert shown(answer) == f"/data/{number}"
        assert tools.read(engine.data, f"/data/{number}") == str(number).encode()


def test_items_that_cannot_be_had_end_the_batch(engine: api.Engine) -> None:
    batch = tools.offered(engine, api.BatchPut)
    if batch is None:
        return

    def items() -> Iterator[api.PutItem]:
        yield api.PutItem(path="/data/a", source=b"a")
        yield api.PutItem(path="/data/b", source=b"b")
        raise LookupError("no more")

    told = []
    with pytest.raises(LookupError, match="no more"):
        for answer in batch.put_many(items()):
            told.append(shown(answer))  # noqa: PERF401 - what came before the error counts

    assert set(told) <= set(tools.paths(engine.data, "/data")) <= {"/data/a", "/data/b"}


def test_a_batch_without_items_does_nothing(engine: api.Engine) -> None:
    if tools.offered(engine, api.BatchPut) is None:
        return

    assert answers(engine, []) == []
