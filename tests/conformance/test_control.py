from __future__ import annotations

import dataclasses

from holdfast.engines import api
from holdfast.model import observation, outcome, plan, spec, topology
from tests.conformance import engines, tools

DEADLINE_S = 30.0


def observe(engine: api.Engine) -> observation.Observation:
    return engine.control.observe(api.Deadline(DEADLINE_S))


def converge(engine: api.Engine, desired: spec.Spec) -> list[outcome.OutcomeKind]:
    """Execute every step of the plan until none is waiting; what came of each."""
    told: list[outcome.OutcomeKind] = []
    for step in engine.control.plan(desired, observe(engine)).steps:
        came = engine.control.execute(step, api.Deadline(DEADLINE_S))
        while came.kind is outcome.OutcomeKind.WAITING:
            came = engine.control.execute(step, api.Deadline(DEADLINE_S))
        told.append(came.kind)
    return told


def with_dataset(opened: engines.Opened, **fields: object) -> spec.Spec:
    more = spec.DatasetSpec(name="more", path="/more", protection=topology.replicas(2))
    return dataclasses.replace(
        opened.spec,
        datasets=(*opened.spec.datasets, dataclasses.replace(more, **fields)),  # type: ignore[arg-type] # by name
    )


def test_what_is_there_is_observed(opened: engines.Opened) -> None:
    data = opened.engine.data
    data.put("/data/a", tools.content(1000))
    data.put("/data/f/b", tools.content(200_000))
    data.put("/limited/tight/c", b"x")
    api.need(opened.engine, api.Snapshots).create_snapshot("data", "one")

    seen = observe(opened.engine)

    assert seen.initialised
    assert seen.writable
    assert seen.store_id
    found = {one.name: one for one in seen.datasets}
    assert set(found) == {one.name for one in opened.spec.datasets}
    for wanted in opened.spec.datasets:
        assert found[wanted.name].path == wanted.path
        assert found[wanted.name].protection == str(wanted.protection)
        assert found[wanted.name].quota_bytes == wanted.quota_bytes
    assert (found["data"].objects.value, found["data"].used_bytes.value) == (2, 201_000)
    assert sum(size for _, size in found["data"].bytes_by_margin) == 201_000
    assert {margin for margin, _ in found["data"].bytes_by_margin} == {found["data"].target_margin}
    assert found["data"].snapshots == 1
    assert found["tight"].used_bytes.value == 1
    assert all(one.health is observation.Health.UP for one in seen.nodes)


def test_observing_changes_nothing(opened: engines.Opened) -> None:
    opened.engine.data.put("/data/a", b"x")
    before = list(opened.engine.data.list_objects("/"))

    first, second = observe(opened.engine), observe(opened.engine)

    assert [one.name for one in first.nodes] == [one.name for one in second.nodes]
    assert list(opened.engine.data.list_objects("/")) == before


def test_a_store_that_is_as_wanted_needs_no_plan(opened: engines.Opened) -> None:
    made = opened.engine.control.plan(opened.spec, observe(opened.engine))

    assert (made.steps, made.refusals) == ((), ())


def test_a_plan_is_the_same_each_time_and_does_nothing(opened: engines.Opened) -> None:
    desired = with_dataset(opened)
    seen = observe(opened.engine)

    first = opened.engine.control.plan(desired, seen)
    second = opened.engine.control.plan(desired, seen)

    assert first == second
    assert first.digest == second.digest
    assert first.digest != plan.Plan().digest
    with tools.refuses("dataset.none"):
        opened.engine.data.put("/more/a", b"x")


def test_a_dataset_that_the_file_adds_is_made(opened: engines.Opened) -> None:
    desired = with_dataset(opened, quota_bytes=10)

    told = converge(opened.engine, desired)

    assert set(told) == {outcome.OutcomeKind.DONE}
    assert opened.engine.data.stat("/more").path == "/more"
    opened.engine.data.put("/more/a", b"0123456789")
    with tools.refuses("quota.full"):
        opened.engine.data.put("/more/b", b"x")
    assert converge(opened.engine, desired) == []


def test_a_step_may_be_executed_again(opened: engines.Opened) -> None:
    desired = with_dataset(opened)
    steps = opened.engine.control.plan(desired, observe(opened.engine)).steps
    converge(opened.engine, desired)
    opened.engine.data.put("/more/a", b"x")

    again = [opened.engine.control.execute(one, api.Deadline(DEADLINE_S)).kind for one in steps]

    assert set(again) == {outcome.OutcomeKind.DONE}
    assert tools.contents(opened.engine.data, "/more") == {"/more/a": b"x"}


def test_a_quota_that_the_file_changes_holds(opened: engines.Opened) -> None:
    converge(opened.engine, with_dataset(opened, quota_bytes=10))

    told = converge(opened.engine, with_dataset(opened, quota_bytes=20))

    assert set(told) == {outcome.OutcomeKind.DONE}
    opened.engine.data.put("/more/a", b"x" * 20)


def test_a_dataset_is_not_moved(opened: engines.Opened) -> None:
    desired = dataclasses.replace(
        opened.spec,
        datasets=tuple(
            dataclasses.replace(one, path="/other") if one.name == "data" else one
            for one in opened.spec.datasets
        ),
    )

    made = opened.engine.control.plan(desired, observe(opened.engine))

    assert [(one.target, one.code) for one in made.refusals] == [("data", "dataset.moved")]
    assert made.steps == ()
