"""What differs between the file and the store, as steps and refusals. Pure."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

from holdfast import errors
from holdfast.engines import refusals
from holdfast.engines.embedded import placement
from holdfast.model import notice, observation, spec, topology
from holdfast.model.plan import Plan, Refusal, Step, Value

CREATE_STORE, ADD_NODE = "create_store", "add_node"
CREATE_DATASET, CHANGE_DATASET = "create_dataset", "change_dataset"
Health = observation.Health
UNWEIGHED = 1

_BAD_NODES = {one.code: one for one in (
    Refusal(
        target="", code="node.no_folder",
        message="the folder {path} of node {node} does not exist",
        hint="create it, or mount its disk there: mkdir -p {path}"),
    Refusal(
        target="", code="node.not_a_folder",
        message="{path} of node {node} is not a folder",
        hint="name a folder under engine.nodes"),
    Refusal(
        target="", code="node.no_access",
        message="{path} of node {node} cannot be read by this user",
        hint="run holdfast as the user who owns the nodes: ls -ld {path}"),
    Refusal(
        target="", code="node.io_error",
        message="{path} of node {node} gives input/output errors",
        hint="look at the disk: dmesg | tail"),
    Refusal(
        target="", code="node.not_empty",
        message="{path} of node {node} holds somebody else's files",
        hint="give holdfast an empty folder of its own, such as {path}/holdfast"),
    Refusal(
        target="", code="node.other_store",
        message="{path} of node {node} belongs to another store",
        hint="take it out of engine.nodes, or empty it if its data is not needed"),
    Refusal(
        target="", code="node.bad_sentinel",
        message="the file holdfast.node at {path} of node {node} is damaged",
        hint="restore that file from a backup of the node, or take the node out and replace it"),
    Refusal(
        target="", code="node.network",
        message="{path} of node {node} is on a network file system, where locks and syncs cannot be "
        "trusted",
        hint="use a local disk; past one machine use an engine for clusters"),
    Refusal(
        target="", code="node.read_only",
        message="{path} of node {node} is read-only",
        hint="mount it read-write, or look at the disk: dmesg"),
    Refusal(
        target="", code="node.unmounted",
        message="{path} of node {node} is empty where a disk of this store should be",
        hint="mount the disk there; holdfast never fills the empty folder under a mount point"),
    Refusal(
        target="", code="node.unusable", message="node {node} at {path} cannot be used",
        hint="holdfast status shows more"),
)}


def plan(desired: spec.Spec, observed: observation.Observation) -> Plan:
    """Empty means converged."""
    steps: list[Step] = []
    refused: list[Refusal] = []
    warnings = list(one_disk(observed.nodes))
    if observed.initialised:
        _known_store(observed, steps, refused, warnings)
    else:
        _new_store(desired, observed, steps, refused)
    nodes = _topology(desired, observed)
    if observed.initialised or not refused:  # else the nodes that are missing would be told twice
        _datasets(desired, observed, nodes, steps, refused, warnings)
    usable = [
        placement.usable_bytes(nodes, one.protection) for one in desired.datasets
        if len(nodes.nodes) >= one.protection.width and _weighed(nodes)
    ]
    return Plan(steps=tuple(steps), refusals=tuple(refused), warnings=tuple(warnings),
                usable_bytes=min(usable, default=None))


def tolerated(datasets: tuple[spec.DatasetSpec, ...]) -> int:
    """F: the largest number of node failures that any dataset promises; at least 2, so that
    usual protections can be added later without more copies of the log."""
    return max(2, *(one.protection.parity for one in datasets)) if datasets else 2


def one_disk(nodes: tuple[observation.NodeObservation, ...]) -> list[notice.Notice]:
    """Of nodes that are counted as apart, but are not: for each disk that holds several, one."""
    by_device: defaultdict[object, list[str]] = defaultdict(list)
    for one in nodes:
        if one.device.known:
            by_device[one.device.value].append(one.name)
    return [
        notice.Notice(
            code="node.one_disk",
            message="nodes {nodes} lie on one real disk: if it fails, they fail together",
            fields={"nodes": tuple(names)})
        for names in by_device.values() if len(names) > 1
    ]


def _new_store(
    desired: spec.Spec, observed: observation.Observation, steps: list[Step],
    refused: list[Refusal],
) -> None:
    bad = [one for one in observed.nodes if one.health is not Health.NEW]
    refused.extend(_refuse_node(one) for one in bad)
    if not desired.engine.nodes:
        refused.append(Refusal(
            target="engine.nodes", code="store.no_nodes", message="the file names no nodes",
            hint="add folders under engine.nodes, or let holdfast init write the file"))
    if bad or not desired.engine.nodes:
        return
    steps.append(Step(
        id=CREATE_STORE, verb=CREATE_STORE, target=desired.cluster, reason="there is no store yet",
        fields={"nodes": tuple(f"{one.name}={one.path}" for one in desired.engine.nodes),
                "tolerated": tolerated(desired.datasets)},
        reversible=False))


def _known_store(
    observed: observation.Observation, steps: list[Step], refused: list[Refusal],
    warnings: list[notice.Notice],
) -> None:
    for one in observed.nodes:
        if one.state == "new" and one.health in (Health.NEW, Health.UP):  # UP: added by halves
            steps.append(Step(
                id=f"{ADD_NODE}:{one.name}", verb=ADD_NODE, target=one.name,
                reason="the file has it, the store does not",
                fields={"path": one.path, "domain": "/".join(one.domain)}))
        elif one.health is Health.UP:
            continue
        elif one.reason == "node.not_in_file":
            warnings.append(notice.Notice(
                code=one.reason,
                message="node {node} belongs to the store but is not in the file; it is not used",
                fields={"node": one.name}))
        elif one.state == "new" or one.reason == "node.unmounted":
            refused.append(_refuse_node(one))


def _datasets(
    desired: spec.Spec, observed: observation.Observation, nodes: topology.Topology,
    steps: list[Step], refused: list[Refusal], warnings: list[notice.Notice],
) -> None:
    there = {one.name: one for one in observed.datasets}
    for wanted in desired.datasets:
        found = there.pop(wanted.name, None)
        if found is None:
            _new_dataset(wanted, observed, nodes, steps, refused, warnings)
        elif found.path != wanted.path:
            refused.append(_refuse(
                wanted.name, refusals.dataset_moved(wanted.name, found.path, wanted.path)))
        elif found.protection != str(wanted.protection):
            refused.append(Refusal(
                target=wanted.name, code="dataset.protection_changed",
                message="dataset {name} is kept as {there}; the file asks for {wanted}",
                hint="make another dataset with the new protection, then: "
                "holdfast mv --change-protection",
                fields={"name": wanted.name, "there": found.protection,
                        "wanted": str(wanted.protection)}))
        elif found.quota_bytes != wanted.quota_bytes:
            steps.append(_dataset_step(CHANGE_DATASET, wanted, "the file asks for another quota"))
    warnings.extend(
        notice.Notice(
            code="dataset.not_in_file",
            message="dataset {dataset} is in the store but not in the file; it is kept",
            fields={"dataset": left})
        for left in there
    )


def _new_dataset(
    wanted: spec.DatasetSpec, observed: observation.Observation, nodes: topology.Topology,
    steps: list[Step], refused: list[Refusal], warnings: list[notice.Notice],
) -> None:
    overlap = next((one for one in observed.datasets if _overlap(one.path, wanted.path)), None)
    if overlap is not None:
        refused.append(_refuse(wanted.name, refusals.dataset_overlaps(
            wanted.name, wanted.path, overlap.name, overlap.path)))
        return
    try:
        placement.check(nodes, wanted.protection)
    except errors.PlacementError as error:
        refused.append(_refuse(wanted.name, error))
        return
    if observed.initialised and observed.log_members < min(
            len(nodes.nodes), 2 * wanted.protection.parity + 1):
        refused.append(Refusal(
            target=wanted.name, code="dataset.log_too_narrow",
            message="dataset {name} promises {wanted} failures; the commit log has only {members} "
            "copies",
            hint="choose a protection that survives fewer failures, or put it into a new store",
            fields={"name": wanted.name, "wanted": wanted.protection.parity,
                    "members": observed.log_members}))
        return
    warnings.extend(placement.warnings(nodes, wanted.protection))
    steps.append(_dataset_step(CREATE_DATASET, wanted, "the file has it, the store does not"))


def _dataset_step(verb: str, wanted: spec.DatasetSpec, reason: str) -> Step:
    fields: dict[str, Value] = {
        "path": wanted.path, "protection": str(wanted.protection),
        "profile": wanted.profile.value, "quota": wanted.quota_bytes,
        "min_margin": wanted.min_margin,
    }
    return Step(id=f"{verb}:{wanted.name}", verb=verb, target=wanted.name, reason=reason,
                fields=fields)


def _topology(desired: spec.Spec, observed: observation.Observation) -> topology.Topology:
    """The nodes as they will be: those of the store and the new ones of the file."""
    usable = (Health.UP, Health.NEW, Health.READ_ONLY)
    members = [one for one in observed.nodes if one.health in usable or one.state == "active"]
    weights = {one.name: one.weight_bytes for one in desired.engine.nodes}
    return topology.Topology(nodes=tuple(
        topology.Node(
            number=one.number if one.number is not None else 1000 + position, name=one.name,
            uuid=one.uuid, path=one.path, domain=one.domain,
            weight_bytes=weights.get(one.name) or _capacity(one))
        for position, one in enumerate(members)
    ))


def _capacity(one: observation.NodeObservation) -> int:
    value = one.capacity_bytes.value
    return value if isinstance(value, int) and value > 0 else UNWEIGHED


def _weighed(nodes: topology.Topology) -> bool:
    """Whether the size of every node is known; one that cannot be reached does not tell."""
    return all(one.weight_bytes > UNWEIGHED for one in nodes.nodes)


def _refuse_node(one: observation.NodeObservation) -> Refusal:
    found = _BAD_NODES.get(one.reason, _BAD_NODES["node.unusable"])
    return dataclasses.replace(
        found, target=one.name, code=one.reason or found.code,
        fields={"node": one.name, "path": one.path})


def _refuse(target: str, error: errors.RefusedError) -> Refusal:
    return Refusal(target=target, code=error.code, message=error.message, hint=error.hint,
                   fields=dict(error.fields))


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")

