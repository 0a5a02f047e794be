"""Wrappers around every engine: they offer what is inside, and refuse, count and slow all of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.engines import api, wrappers
from holdfast.model import outcome, plan
from tests.conformance import engines, tools

EXTRAS = (
    api.Snapshots, api.Changes, api.BatchPut, api.Append, api.Folders, api.Shards, api.Metadata,
)  # fmt: skip

CHANGING: dict[str, Callable[[api.Engine], object]] = {
    "put": lambda engine: engine.data.put("/data/new", b"x"),
    "put over": lambda engine: engine.data.put("/data/a", b"x", overwrite=True),
    "rename": lambda engine: engine.data.rename("/data/a", "/data/b"),
    "delete": lambda engine: engine.data.delete("/data/a"),
    "create snapshot": lambda engine: api.need(engine, api.Snapshots).create_snapshot("data", "b"),
    "remove snapshot": lambda engine: api.need(engine, api.Snapshots).remove_snapshot("data", "one"),
    "append": lambda engine: api.need(engine, api.Append).append("/kept/log", b"x"),
    "make folder": lambda engine: api.need(engine, api.Folders).make_folder("/data/f"),
    "remove folder": lambda engine: api.need(engine, api.Folders).remove_folder("/data/empty"),
    "put many": lambda engine: list(
        api.need(engine, api.BatchPut).put_many([api.PutItem(path="/data/new", source=b"x")])
    ),
}


@pytest.fixture
def filled(engine: api.Engine) -> api.Engine:
    engine.data.put("/data/a", b"0123456789")
    engine.data.put("/data/empty/gone", b"x")
    engine.data.delete("/data/empty/gone")
    engine.data.put("/kept/log", b"log")
    api.need(engine, api.Snapshots).create_snapshot("data", "one")
    return engine


@pytest.mark.parametrize("change", sorted(CHANGING))
def test_a_read_only_engine_refuses_every_change(filled: api.Engine, change: str) -> None:
    before = list(filled.data.list_objects("/"))

    with tools.refuses("engine.read_only"):
        CHANGING[change](wrappers.ReadOnly(filled))

    assert list(filled.data.list_objects("/")) == before
    assert tools.paths(filled.data, "/data", recursive=False) == ["/data/a", "/data/empty"]


def test_a_read_only_engine_reads(filled: api.Engine) -> None:
    guarded = wrappers.ReadOnly(filled)

    assert tools.contents(guarded.data, "/") == {"/data/a": b"0123456789", "/kept/log": b"log"}
    assert tools.read(guarded.data, "/data/.snapshot/one/a", offset=7) == b"789"
    assert len(api.need(guarded, api.Snapshots).snapshots("data")) == 1
    assert list(api.need(guarded, api.Changes).changes("data", "one", None)) == []
    assert [one.length for one in api.need(guarded, api.Shards).shards("/data/a")] == [10]


def test_a_read_only_engine_plans(opened: engines.Opened) -> None:
    guarded = wrappers.ReadOnly(opened.engine)
    seen = guarded.control.observe(api.Deadline(30))

    assert guarded.control.plan(opened.spec, seen).steps == ()


def test_a_read_only_engine_says_so_when_observed(filled: api.Engine) -> None:
    guarded = wrappers.ReadOnly(filled)

    seen = guarded.control.observe(api.Deadline(30))
    step = plan.Step(id="x", verb="create_dataset", target="x", reason="")
    came = guarded.control.execute(step, api.Deadline(30))

    assert (seen.writable, seen.reason) == (False, "engine.read_only")
    assert (came.kind, came.code) == (outcome.OutcomeKind.REFUSED, "engine.read_only")


@pytest.mark.parametrize(
    "wrap",
    [wrappers.ReadOnly, wrappers.Measured, wrappers.Throttled],
    ids=["read-only", "measured", "throttled"],
)
@pytest.mark.parametrize("protocol", EXTRAS, ids=lambda one: one.__name__)
def test_a_wrapper_offers_what_is_inside(
    engine: api.Engine, wrap: Callable[[api.Engine], api.Engine], protocol: type
) -> None:
    inside = api.extra(engine, protocol)

    assert (api.extra(wrap(engine), protocol) is None) == (inside is None)
    assert wrap(engine).capabilities == engine.capabilities
