from __future__ import annotations

import dataclasses

import pytest

from holdfast.model import notice, observation
from holdfast.operations import status

NOW_NS = 1_700_000_000_000_000_000


def fact(value: int | None) -> observation.Fact:
    return observation.Fact(value=value, source="test", at_ns=NOW_NS)


def node(name: str = "d1", health: observation.Health = observation.Health.UP,
         state: str = "active") -> observation.NodeObservation:
    return observation.NodeObservation(
        name=name, uuid=name, number=1, domain=(name,), path=f"/mnt/{name}", state=state,
        health=health, reason="", capacity_bytes=fact(1), free_bytes=fact(1), used_bytes=fact(0),
        device=fact(1),
    )


def dataset(
    *margins: tuple[int, int], target: int = 2, used: int | None = 10, quota: int | None = None
) -> observation.DatasetObservation:
    return observation.DatasetObservation(
        name="data", path="/data", protection="replicas 3", objects=fact(1), used_bytes=fact(used),
        quota_bytes=quota, target_margin=target, bytes_by_margin=margins, snapshots=0,
    )


def seen(
    *datasets: observation.DatasetObservation, nodes: tuple[observation.NodeObservation, ...] = ()
) -> observation.Observation:
    return observation.Observation(
        at_ns=NOW_NS, store_id="s", initialised=True, writable=True, reason="",
        nodes=nodes or (node(),), datasets=datasets, usable_bytes=fact(1), used_bytes=fact(1),
        log_members=3, log_up=3, heal_queue=0, heal_bytes=0,
    )


GOOD = seen(dataset((2, 10)))


@pytest.mark.parametrize(
    ("found", "healthy", "risk", "service"),
    [
        (GOOD, True, "risk.none", "service.full"),
        (seen(dataset()), True, "risk.empty", "service.full"),
        (seen(dataset((1, 5), (2, 5))), False, "risk.reduced", "service.full"),
        (seen(dataset((0, 5), (1, 5))), False, "risk.next_failure", "service.full"),
        (seen(dataset((-1, 5), (0, 5))), False, "risk.lost", "service.full"),
        (seen(dataset((0, 5), target=0)), True, "risk.single_copy", "service.full"),
        (seen(dataset((2, 5), used=None)), False, "risk.unknown", "service.full"),
        (dataclasses.replace(GOOD, log_up=2), False, "risk.none", "service.log_reduced"),
        (dataclasses.replace(GOOD, writable=False, reason="log.minority"), False, "risk.none",
         "service.read_only"),
        (dataclasses.replace(GOOD, initialised=False), False, "risk.no_store", "service.none"),
        (seen(dataset((2, 1)), nodes=(node(), node(), node(health=observation.Health.UNKNOWN))),
         False, "risk.none", "service.full"),
        (seen(dataset((2, 1)), nodes=(node(), node(health=observation.Health.UNKNOWN))), False,
         "risk.none", "service.datasets_read_only"),
        (seen(dataset((2, 1)), nodes=(node(), node("d2", observation.Health.UNMOUNTED, "removed"))),
         True, "risk.none", "service.full"),
    ],
    ids=["good", "empty", "reduced", "next", "lost", "single", "unknown", "log", "read-only",
         "no-store", "node-unknown", "one-left", "node-removed"],
)
def test_an_observation_is_judged(
    found: observation.Observation, *, healthy: bool, risk: str, service: str
) -> None:
    judged = status.judge(found)

    assert (judged.healthy, judged.risk.code, judged.service.code) == (healthy, risk, service)


def test_the_worst_dataset_is_named_first() -> None:
    judged = status.judge(seen(dataset((1, 5)), dataclasses.replace(dataset((0, 7)), name="other")))

    assert judged.risk.fields["dataset"] == "other"
    assert status.bytes_by_margin(judged.seen) == {0: 7, 1: 5}


def test_advice_names_nodes_quotas_and_warnings() -> None:
    found = dataclasses.replace(
        seen(
            dataset((2, 95), used=95, quota=100),
            nodes=(node(health=observation.Health.UNMOUNTED), node("d2", observation.Health.NEW)),
        ),
        warnings=(notice.Notice(code="node.one_disk", message="two nodes on one device"),),
    )

    codes = [one.code for one in status.judge(found).advice]

    assert codes == ["advice.node", "advice.node_new", "advice.quota", "node.one_disk"]


def test_pieces_that_wait_to_be_healed_are_told_and_are_not_healthy() -> None:
    judged = status.judge(dataclasses.replace(GOOD, heal_queue=3, heal_bytes=1 << 20))

    assert judged.activity.code == "activity.heal_waiting"
    assert judged.activity.fields["count"] == 3
    assert not judged.healthy
