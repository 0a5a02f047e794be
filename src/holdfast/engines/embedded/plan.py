"""What differs between the file and the store, as steps and refusals. Pure."""

from __future__ import annotations

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

_BAD_NODES = {
    "node.no_folder": (
        "the folder {path} of node {node} does not exist",
        "create it, or mount its disk there: mkdir -p {path}"),
    "node.not_a_folder": (
        "{path} of node {node} is not a folder", "name a folder under engine.nodes"),
    "node.no_access": (
        "{path} of node {node} cannot be read by this user",
        "run holdfast as the user who owns the nodes: ls -ld {path}"),
    "node.io_error": (
        "{path} of node {node} gives input/output errors", "look at the disk: dmesg | tail"),
    "node.not_empty": (
        "{path} of node {node} holds somebody else's files",
        "give holdfast an empty folder of its own, such as {path}/holdfast"),
    "node.other_store": (
        "{path} of node {node} belongs to another store",
        "take it out of engine.nodes, or empty it if its data is not needed"),
    "node.bad_sentinel": (
        "the file holdfast.node at {path} of node {node} is damaged",
        "restore that file from a backup of the node, or take the node out and replace it"),
    "node.network": (
        ("{path} of node {node} is on a network file system, where locks and syncs cannot be "
         "trusted"), "use a local disk; past one machine use an engine for clusters"),
    "node.read_only": (
        "{path} of node {node} is read-only", "mount it read-write, or look at the disk: dmesg"),
    "node.unmounted": (
        "{path} of node {node} is empty where a disk of this store should be",
        "mount the disk there; holdfast never fills the empty folder under a mount point"),
}


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
        refused.append(_refusal(
            "engine.nodes", "store.no_nodes", "the file names no nodes",
            "add folders under engine.nodes, or let holdfast init write the file"))
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
        if one.health is Health.UP:
            continue
        if one.state == "new" and one.health is Health.NEW:
            steps.append(Step(
                id=f"{ADD_NODE}:{one.name}", verb=ADD_NODE, target=one.name,
                reason="the file has it, the store does not",
                fields={"path": one.path, "domain": "/".join(one.domain)}))
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
            refused.append(_refusal(
                wanted.name, "dataset.protection_changed",
                "dataset {name} is kept as {there}; the file asks for {wanted}",
                "make a new dataset with the new protection and copy: holdfast mv",
                name=wanted.name, there=found.protection, wanted=str(wanted.protection)))
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
        refused.append(_refusal(
            wanted.name, "dataset.log_too_narrow",
            "dataset {name} promises {wanted} failures; the commit log has only {members} copies",
            "choose a protection that survives fewer failures, or put it into a new store",
            name=wanted.name, wanted=wanted.protection.parity, members=observed.log_members))
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
    message, hint = _BAD_NODES.get(one.reason, (
        "node {node} at {path} cannot be used", "holdfast status shows more"))
    return Refusal(target=one.name, code=one.reason or "node.unusable", message=message, hint=hint,
                   fields={"node": one.name, "path": one.path})


def _refuse(target: str, error: errors.RefusedError) -> Refusal:
    return Refusal(target=target, code=error.code, message=error.message, hint=error.hint,
                   fields=dict(error.fields))


def _refusal(target: str, code: str, message: str, hint: str, **fields: Value) -> Refusal:
    return Refusal(target=target, code=code, message=message, hint=hint, fields=fields)


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")

