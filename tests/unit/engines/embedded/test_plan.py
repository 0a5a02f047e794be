"""What the file asks for against what is there: a table."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from holdfast.engines.embedded import plan
from holdfast.model import observation, spec, topology
from holdfast.model.observation import Fact, Health

DATA = spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(3))
WANTED = spec.Spec(
    cluster="lab", file="/etc/holdfast.yaml", datasets=(DATA,),
    engine=spec.EngineSpec(kind="embedded", nodes=tuple(
        spec.NodeSpec(name=f"d{number}", path=f"/d{number}", domain=(f"s{number}",))
        for number in range(1, 6))),
)


def fact(value: object) -> Fact:
    return Fact(value=value, source="a test", at_ns=1)  # type: ignore[arg-type]


def node(number: int, health: Health, state: str, reason: str = "") -> observation.NodeObservation:
    return observation.NodeObservation(
        name=f"d{number}", uuid=f"u{number}", number=number if state != "new" else None,
        domain=(f"s{number}",), path=f"/d{number}", state=state, health=health, reason=reason,
        capacity_bytes=fact(1 << 40), free_bytes=fact(1 << 39), used_bytes=fact(0),
        device=fact(f"8:{number}"))


def seen(
    *, initialised: bool, nodes: list[observation.NodeObservation] | None = None,
    datasets: tuple[observation.DatasetObservation, ...] = (), log_members: int = 5,
) -> observation.Observation:
    health, state = (Health.UP, "active") if initialised else (Health.NEW, "new")
    found = nodes or [node(number, health, state) for number in range(1, 6)]
    return observation.Observation(
        at_ns=1, store_id="s", initialised=initialised, writable=initialised, reason="",
        nodes=tuple(found), datasets=datasets, usable_bytes=fact(None), used_bytes=fact(0),
        log_members=log_members, log_up=log_members, heal_queue=0, heal_bytes=0)


def dataset(**changed: object) -> observation.DatasetObservation:
    there = observation.DatasetObservation(
        name="data", path="/data", protection=str(DATA.protection), objects=fact(0),
        used_bytes=fact(0), quota_bytes=None, target_margin=2, bytes_by_margin=(), snapshots=0)
    return dataclasses.replace(there, **changed)  # type: ignore[arg-type]


def verbs(wanted: spec.Spec, observed: observation.Observation) -> list[tuple[str, str]]:
    return [(step.verb, step.target) for step in plan.plan(wanted, observed).steps]


def refusals(wanted: spec.Spec, observed: observation.Observation) -> list[tuple[str, str]]:
    return [(one.target, one.code) for one in plan.plan(wanted, observed).refusals]


def test_a_new_store_is_made_and_then_its_datasets() -> None:
    assert verbs(WANTED, seen(initialised=False)) == [
        (plan.CREATE_STORE, "lab"), (plan.CREATE_DATASET, "data")]


def test_a_store_that_is_as_the_file_says_needs_nothing() -> None:
    observed = seen(initialised=True, datasets=(dataset(),))

    made = plan.plan(WANTED, observed)

    assert made.steps == ()
    assert made.refusals == ()


@pytest.mark.parametrize("reason", sorted(plan._BAD_NODES))
def test_each_reason_against_a_folder_has_words_of_its_own(reason: str) -> None:
    nodes = [node(number, Health.NEW, "new") for number in range(1, 5)]
    observed = seen(initialised=False, nodes=[*nodes, node(5, Health.FOREIGN, "new", reason)])

    refused = plan.plan(WANTED, observed).refusals

    assert [(one.target, one.code) for one in refused] == [("d5", reason)]
    assert "d5" in refused[0].message.format(**refused[0].fields)
    assert refused[0].hint.format(**refused[0].fields)
    assert verbs(WANTED, observed) == []


def test_reasons_without_words_of_their_own_are_refused_all_the_same() -> None:
    nodes = [node(number, Health.NEW, "new") for number in range(1, 5)]
    observed = seen(initialised=False, nodes=[*nodes, node(5, Health.FAILING, "new", "node.odd")])

    assert refusals(WANTED, observed) == [("d5", "node.odd")]


@pytest.mark.parametrize("health", [Health.NEW, Health.UP], ids=["empty", "added by halves"])
def test_a_node_that_the_store_does_not_have_is_added(health: Health) -> None:
    nodes = [node(number, Health.UP, "active") for number in range(1, 5)]
    observed = seen(initialised=True, datasets=(dataset(),), nodes=[*nodes, node(5, health, "new")])

    assert verbs(WANTED, observed) == [(plan.ADD_NODE, "d5")]


def test_an_empty_folder_where_a_node_should_be_is_never_filled() -> None:
    nodes = [node(number, Health.UP, "active") for number in range(1, 5)]
    gone = node(5, Health.UNMOUNTED, "active", "node.unmounted")
    observed = seen(initialised=True, datasets=(dataset(),), nodes=[*nodes, gone])

    assert refusals(WANTED, observed) == [("d5", "node.unmounted")]
    assert verbs(WANTED, observed) == []


@pytest.mark.parametrize(("changed", "code"), [
    ({"path": "/elsewhere"}, "dataset.moved"),
    ({"protection": "replicas 2"}, "dataset.protection_changed"),
    ({"name": "other", "path": "/data/below"}, "dataset.overlaps"),
])
def test_what_cannot_be_changed_is_refused(changed: dict[str, object], code: str) -> None:
    observed = seen(initialised=True, datasets=(dataset(**changed),))

    assert ("data", code) in refusals(WANTED, observed)
    assert verbs(WANTED, observed) == []


def test_another_quota_is_a_step() -> None:
    observed = seen(initialised=True, datasets=(dataset(quota_bytes=5),))

    assert verbs(WANTED, observed) == [(plan.CHANGE_DATASET, "data")]


def test_a_promise_that_the_commit_log_cannot_keep_is_refused() -> None:
    observed = seen(initialised=True, log_members=3)

    assert refusals(WANTED, observed) == [("data", "dataset.log_too_narrow")]


def test_a_file_without_nodes_is_refused() -> None:
    wanted = dataclasses.replace(WANTED, engine=spec.EngineSpec(kind="embedded"))
    observed = dataclasses.replace(seen(initialised=False), nodes=())

    assert ("engine.nodes", "store.no_nodes") in refusals(wanted, observed)


@pytest.mark.parametrize(("parity", "expected"), [((), 2), ((1,), 2), ((3, 2), 3)])
def test_the_log_tolerates_what_any_dataset_promises(
    parity: tuple[int, ...], expected: int
) -> None:
    datasets = tuple(dataclasses.replace(DATA, protection=topology.replicas(one + 1))
                     for one in parity)

    assert plan.tolerated(datasets) == expected


def test_every_refusal_is_written_out_where_it_is_made() -> None:
    tree = ast.parse(Path(plan.__file__).read_text())
    made = [call for call in ast.walk(tree) if isinstance(call, ast.Call)
            and getattr(call.func, "id", "") == "Refusal"]

    texts = [{word.arg: word.value for word in call.keywords} for call in made]

    assert len(texts) > 12
    for given in texts:
        for part in ("code", "message", "hint"):
            assert isinstance(given[part], (ast.Constant, ast.Attribute)), ast.dump(given[part])
