"""Judge a store from one observation: can I lose data, can I read and write, what is it doing,
what should I do. Pure but for `look`, which observes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.errors import Field
from holdfast.kit import clock, language, units
from holdfast.model import observation, topology
from holdfast.model.notice import Notice
from holdfast.operations import context

OBSERVE_S = 30.0
LOST = -1
GONE_STATES = frozenset({"removed"})
OTHER_NODE = language.mark("look at node {node} at {path}: {reason}")
OTHER_READ_ONLY = language.mark("read only: {reason}")
READ_ONLY = {  # by the reason why a store takes no writes
    "store.opened_read_only": language.mark("read only: it was opened so"),
    "log.no_majority": language.mark("read only: too few copies of the commit log can be reached"),
}
NODE_ADVICE = {  # by the reason why the node is not up
    "node.no_folder": language.mark("node {node}: the folder {path} is gone; bring its disk back"),
    "node.unmounted": language.mark("node {node}: nothing is mounted at {path}; mount its disk"),
    "node.not_a_folder": language.mark("node {node}: {path} is not a folder any more"),
    "node.no_access": language.mark("node {node}: this user may not read {path}"),
    "node.read_only": language.mark("node {node}: {path} is read-only; look at the disk: dmesg"),
    "node.io_error": language.mark("node {node}: input/output errors at {path}; look at the disk: dmesg"),
    "node.other_store": language.mark("node {node}: the disk at {path} belongs to another store"),
    "node.bad_sentinel": language.mark("node {node}: the file {path}/holdfast.node is damaged"),
    "node.not_in_file": language.mark("node {node} is in the store but not in the file; name it there"),
    "node.network": language.mark("node {node}: {path} is on a network file system; use a local disk"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`healthy`: every node is up, every byte has the margin it should have, the commit log is
    complete, no reader found damage that waits to be healed, and all of that is known."""

    healthy: bool
    risk: Notice
    service: Notice
    activity: Notice
    advice: tuple[Notice, ...]
    seen: observation.Observation


def look(ctx: context.Context) -> Status:
    return judge(ctx.engine.control.observe(clock.Deadline(OBSERVE_S, ctx.clock)))


def judge(seen: observation.Observation) -> Status:
    advice = tuple(_advice(seen))
    return Status(
        healthy=_healthy(seen),
        risk=_risk(seen),
        service=_service(seen),
        activity=_activity(seen),
        advice=advice or (Notice(code="status.nothing_to_do", message="nothing to do"),),
        seen=seen,
    )


def bytes_by_margin(seen: observation.Observation) -> dict[int, int]:
    """Of all datasets together, the least margin first; -1: lost."""
    total: dict[int, int] = {}
    for dataset in seen.datasets:
        for margin, size_bytes in dataset.bytes_by_margin:
            total[margin] = total.get(margin, 0) + size_bytes
    return dict(sorted(total.items()))


def nodes_not_up(seen: observation.Observation) -> tuple[observation.NodeObservation, ...]:
    return tuple(
        node
        for node in seen.nodes
        if node.health is not observation.Health.UP and node.state not in GONE_STATES
    )


def _healthy(seen: observation.Observation) -> bool:
    return (
        seen.initialised
        and seen.writable
        and not nodes_not_up(seen)
        and seen.log_up == seen.log_members
        and not any(_below_target(seen))
        and not _unknown(seen)
        and not seen.heal_queue
    )


def _below_target(
    seen: observation.Observation,
) -> Iterator[tuple[observation.DatasetObservation, int, int]]:
    """(dataset, margin, bytes) of what survives fewer failures than it should; the worst first."""
    rows = [
        (dataset, margin, size_bytes)
        for dataset in seen.datasets
        for margin, size_bytes in dataset.bytes_by_margin
        if size_bytes and margin < dataset.target_margin
    ]
    yield from sorted(rows, key=lambda row: row[1])


def _unknown(seen: observation.Observation) -> tuple[str, ...]:
    """The datasets of which the counts are not known."""
    return tuple(
        dataset.name
        for dataset in seen.datasets
        if not (dataset.objects.known and dataset.used_bytes.known)
    )


def _risk(seen: observation.Observation) -> Notice:
    if not seen.initialised:
        return Notice(code="risk.no_store", message="there is no store yet, so nothing to lose")
    for dataset, margin, size_bytes in _below_target(seen):
        return _risk_below(dataset, margin, size_bytes)
    if unknown := _unknown(seen):
        return Notice(
            code="risk.unknown", message="not known: {datasets} could not be counted",
            fields={"datasets": unknown},
        )
    margins = [margin for margin, size_bytes in bytes_by_margin(seen).items() if size_bytes]
    if not margins:
        return Notice(code="risk.empty", message="no: nothing is stored yet")
    if min(margins) == 0:
        single = tuple(one.name for one in seen.datasets if one.target_margin == 0)
        return Notice(
            code="risk.single_copy",
            message="yes: one node failure loses what {datasets} hold; they are kept only once",
            fields={"datasets": single},
        )
    message = "no: everything survives any {margin} more node failures"
    if min(margins) == 1:
        message = "no: everything survives any one more node failure"
    return Notice(code="risk.none", message=message, fields={"margin": min(margins)})


def _risk_below(
    dataset: observation.DatasetObservation, margin: int, size_bytes: int
) -> Notice:
    fields: dict[str, Field] = {
        "dataset": dataset.name, "size": units.show_size(size_bytes),
        "margin": margin, "target": dataset.target_margin,
    }
    if margin <= LOST:
        message = (
            "yes: {size} of dataset {dataset} cannot be read now: more nodes are gone than it "
            "survives; nothing was deleted"
        )
        return Notice(code="risk.lost", message=message, fields=fields)
    if margin == 0:
        message = "yes: one more node failure loses {size} of dataset {dataset}"
        return Notice(code="risk.next_failure", message=message, fields=fields)
    message = (
        "not yet: {size} of dataset {dataset} survive fewer node failures than they should: {margin}, "
        "not {target}"
    )
    return Notice(code="risk.reduced", message=message, fields=fields)


def _service(seen: observation.Observation) -> Notice:
    if not seen.initialised:
        return Notice(code="service.none", message="no: it must be prepared first")
    if not seen.writable:
        message = READ_ONLY.get(seen.reason, OTHER_READ_ONLY)
        return Notice(
            code="service.read_only", message=message, fields={"reason": seen.reason or "not known"}
        )
    if stuck := tuple(one.name for one in seen.datasets if not _takes_writes(one, seen)):
        return Notice(
            code="service.datasets_read_only",
            message="read only: too few nodes are up to write to dataset {datasets}",
            fields={"datasets": stuck},
        )
    if seen.log_members and seen.log_up < seen.log_members:
        return Notice(
            code="service.log_reduced",
            message="read and write; {up} of {members} copies of the commit log answer",
            fields={"up": seen.log_up, "members": seen.log_members},
        )
    return Notice(code="service.full", message="read and write")


def _takes_writes(
    dataset: observation.DatasetObservation, seen: observation.Observation
) -> bool:
    """Whether nodes that failed leave enough to write to: k+1, or two for replicas."""
    if not nodes_not_up(seen):
        return True
    protection = topology.parse_protection(dataset.protection)
    up = sum(1 for one in seen.nodes if one.health is observation.Health.UP)
    if protection.scheme is topology.Scheme.ERASURE:
        return up > protection.data
    return up >= min(2, protection.width)


def _activity(seen: observation.Observation) -> Notice:
    if seen.heal_queue:
        return Notice(
            code="activity.heal_waiting",
            message="{count} pieces were found damaged or missing, and wait to be healed",
            fields={"count": seen.heal_queue},
        )
    return Notice(code="activity.idle", message="nothing is waiting")


def _advice(seen: observation.Observation) -> Iterator[Notice]:
    if not seen.initialised:
        yield Notice(code="advice.apply", message="run holdfast apply to prepare the nodes")
        return
    for node in nodes_not_up(seen):
        fields: dict[str, Field] = {
            "node": node.name, "path": node.path, "health": node.health.value,
            "reason": node.reason or node.health.value,
        }
        if node.health is observation.Health.NEW:
            message = "node {node} is in the file but not in the store: run holdfast apply"
            yield Notice(code="advice.node_new", message=message, fields=fields)
        else:
            message = NODE_ADVICE.get(node.reason, OTHER_NODE)
            yield Notice(code="advice.node", message=message, fields=fields)
    for dataset in seen.datasets:
        yield from _quota_advice(dataset)
    yield from seen.warnings


def _quota_advice(dataset: observation.DatasetObservation) -> Iterator[Notice]:
    used = dataset.used_bytes.value
    if not dataset.quota_bytes or not isinstance(used, int) or used < 0.9 * dataset.quota_bytes:
        return
    yield Notice(
        code="advice.quota", message="dataset {dataset} has used {used} of its quota of {quota}",
        fields={
            "dataset": dataset.name, "used": units.show_size(used),
            "quota": units.show_size(dataset.quota_bytes),
        },
    )
