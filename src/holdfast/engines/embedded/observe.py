"""What can be seen of the store: bounded, per node and dataset. Changes nothing."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable

import apsw

from holdfast.engines.embedded import (
    collect,
    names,
    placement,
    plan,
    readers,
    sentinel,
    session,
    spares,
    store,
    survey,
)
from holdfast.kit import clock, units
from holdfast.model import notice, observation, spec, topology

NO_ANSWER = "node.timeout"
SOURCE_NODE, SOURCE_INDEX = "the node's file system", "the index"
Fact = observation.Fact


def uninitialised(wanted: spec.Spec, found: store.Found) -> observation.Observation:
    """Of paths that hold no store yet, or of one that cannot be opened."""
    now_ns = clock.SYSTEM.now_ns()
    disks = Disks(found)
    return observation.Observation(
        at_ns=now_ns, store_id=found.store or "", initialised=False, writable=False,
        reason="store.not_initialised",
        nodes=tuple(_node_of_file(one, found.looks[one.name], disks, now_ns)
                    for one in wanted.engine.nodes),
        datasets=(), usable_bytes=_unknown(SOURCE_INDEX, now_ns),
        used_bytes=_unknown(SOURCE_INDEX, now_ns), log_members=0, log_up=0, heal_queue=0,
        heal_bytes=0)


def observe(
    wanted: spec.Spec, opened: session.Session, deadline: clock.Deadline
) -> observation.Observation:
    """Raises UnavailableError when the index cannot be read before the deadline."""
    deadline.check("observing the store")
    now_ns = clock.SYSTEM.now_ns()
    found = store.find(wanted)
    up = opened.up()
    nodes = _nodes(wanted, found, opened, now_ns)
    datasets = opened.catalog.read(lambda one: _datasets(one, opened, now_ns))
    heal_bytes = sum(
        size for one in datasets for margin, size in one.bytes_by_margin
        if margin < one.target_margin)
    log_up = sum(1 for one in opened.log.members if one.number in up)
    writable, reason = _writable(opened, log_up)
    usable = [
        placement.usable_bytes(opened.nodes(), topology.parse_protection(one.protection))
        for one in datasets
    ]
    return observation.Observation(
        at_ns=now_ns, store_id=opened.store_id, initialised=True, writable=writable, reason=reason,
        nodes=nodes, datasets=datasets,
        usable_bytes=Fact(value=min(usable, default=None), source="the placement", at_ns=now_ns),
        used_bytes=Fact(value=sum(_number(one.used_bytes) for one in datasets),
                        source=SOURCE_INDEX, at_ns=now_ns),
        log_members=len(opened.log.members), log_up=log_up,
        heal_queue=len(opened.repairs.all()), heal_bytes=heal_bytes,
        warnings=tuple(_warnings(opened, nodes)))


def _writable(opened: session.Session, log_up: int) -> tuple[bool, str]:
    if opened.catalog.incomplete is not None:
        return False, opened.catalog.incomplete.code
    if opened.read_only:
        return False, "store.opened_read_only"
    if log_up < opened.log.majority:
        return False, "log.no_majority"
    return True, ""


def _nodes(
    wanted: spec.Spec, found: store.Found, opened: session.Session, now_ns: int
) -> tuple[observation.NodeObservation, ...]:
    known = {one.uuid: one for one in opened.nodes().nodes}
    names_known = {one.name: one for one in known.values()}
    disks = Disks(found)
    rows = []
    seen: set[str] = set()
    for one in wanted.engine.nodes:
        look = found.looks[one.name]
        row = _node_of_file(one, look, disks, now_ns)
        uuid = look.sentinel.node if look.sentinel and look.sentinel.store == found.store else ""
        member = known.get(uuid) or (None if uuid else names_known.get(one.name))
        if member is not None:
            seen.add(member.uuid)
            row = _as_member(row, member, opened, present=bool(uuid))
        rows.append(row)
    for uuid, member in known.items():
        if uuid not in seen and member.state is not topology.NodeState.REMOVED:
            rows.append(_not_in_file(member, now_ns))
    return tuple(rows)


def _as_member(
    row: observation.NodeObservation, member: topology.Node, opened: session.Session, *,
    present: bool,
) -> observation.NodeObservation:
    """A node that the store knows: an empty folder in its place is a disk that is not mounted."""
    health, reason = row.health, row.reason
    if not present and health is observation.Health.NEW:
        health, reason = observation.Health.UNMOUNTED, "node.unmounted"
    disk = opened.disks.get(member.number)
    if disk is not None and disk.suspect is not None and health is observation.Health.UP:
        health, reason = observation.Health.FAILING, disk.suspect
    return observation.NodeObservation(
        name=member.name, uuid=member.uuid, number=member.number, domain=member.domain,
        path=row.path, state=member.state.value, health=health, reason=reason,
        capacity_bytes=row.capacity_bytes, free_bytes=row.free_bytes, used_bytes=row.used_bytes,
        device=row.device)


class Disks:
    """The file systems under the nodes; nodes on one device share what it has."""

    def __init__(self, found: store.Found) -> None:
        self._spaces = survey.spaces({
            name: look.path for name, look in found.looks.items() if look.reason != NO_ANSWER})
        self._sharing = Counter(one.device for one in self._spaces.values())

    def of(self, name: str) -> survey.Space | None:
        """This node's share; None when its disk does not answer."""
        space = self._spaces.get(name)
        if space is None:
            return None
        share = self._sharing[space.device]
        capacity = space.capacity // share
        return space._replace(
            capacity=capacity, free=space.free // share,
            used=capacity - (space.capacity - space.used) // share)


def _node_of_file(
    one: spec.NodeSpec, look: sentinel.Look, disks: Disks, now_ns: int
) -> observation.NodeObservation:
    capacity = free = used = device = None
    health, reason = look.health, look.reason
    space = disks.of(one.name)
    if space is not None:
        device = f"{os.major(space.device)}:{os.minor(space.device)}"
        capacity, free, used = space.capacity, space.free, space.used
        if space.kind in sentinel.NETWORK_TYPES:
            health, reason = observation.Health.FOREIGN, "node.network"
    elif look.reason == "":
        health, reason = observation.Health.FAILING, NO_ANSWER
    return observation.NodeObservation(
        name=one.name, uuid=look.sentinel.node if look.sentinel else "",
        number=look.sentinel.number if look.sentinel else None, domain=one.domain, path=one.path,
        state="new", health=health, reason=reason,
        capacity_bytes=Fact(value=one.weight_bytes or capacity, source=SOURCE_NODE, at_ns=now_ns),
        free_bytes=Fact(value=free, source=SOURCE_NODE, at_ns=now_ns),
        used_bytes=Fact(value=used, source=SOURCE_NODE, at_ns=now_ns),
        device=Fact(value=device, source=SOURCE_NODE, at_ns=now_ns))


def _not_in_file(member: topology.Node, now_ns: int) -> observation.NodeObservation:
    nothing = _unknown(SOURCE_NODE, now_ns)
    return observation.NodeObservation(
        name=member.name, uuid=member.uuid, number=member.number, domain=member.domain, path="",
        state=member.state.value, health=observation.Health.UNKNOWN, reason="node.not_in_file",
        capacity_bytes=nothing, free_bytes=nothing, used_bytes=nothing, device=nothing)


def _datasets(
    connection: apsw.Connection, opened: session.Session, now_ns: int
) -> tuple[observation.DatasetObservation, ...]:
    by_margin = _bytes_by_margin(connection, opened)
    snapshots = dict(connection.execute("SELECT dataset, count(*) FROM snapshots GROUP BY dataset"))
    return tuple(
        observation.DatasetObservation(
            name=one.name, path=one.path, protection=one.protection,
            objects=Fact(value=one.objects, source=SOURCE_INDEX, at_ns=now_ns),
            used_bytes=Fact(value=one.used, source=SOURCE_INDEX, at_ns=now_ns),
            quota_bytes=one.quota,
            target_margin=spares.target_margin(
                opened.nodes(), topology.parse_protection(one.protection)),
            bytes_by_margin=tuple(sorted(by_margin[one.number].items())),
            snapshots=snapshots.get(one.number, 0))
        for one in sorted(names.datasets(connection), key=lambda one: one.path)
    )


def _bytes_by_margin(
    connection: apsw.Connection, opened: session.Session
) -> defaultdict[int, Counter[int]]:
    """Per dataset: stored logical bytes by how many more node failures they survive."""
    found: defaultdict[int, Counter[int]] = defaultdict(Counter)
    rows: Iterable[tuple[int, str, str, int]] = connection.execute(
        "SELECT dataset, protection, nodes, bytes FROM layouts WHERE bytes>0 UNION ALL "
        "SELECT l.dataset, l.protection, l.nodes, s.content FROM segments AS s "
        "JOIN layouts AS l ON l.id=s.layout WHERE s.content>0")
    for dataset, protection, nodes, size in rows:
        margin = opened.margin(topology.parse_protection(protection), session.numbers_of(nodes))
        found[dataset][margin] += size
    return found


def _warnings(
    opened: session.Session, nodes: tuple[observation.NodeObservation, ...]
) -> Iterable[notice.Notice]:
    yield from plan.one_disk(nodes)
    roots = opened.log.roots()
    asked = survey.ask({"pins": lambda: readers.pins(roots)}, survey.LOOK_S)
    pinned = asked.get("pins", [])
    waiting = opened.catalog.read(collect.waiting_bytes)
    if waiting and pinned:
        yield notice.Notice(
            code="collect.readers",
            message="{size} wait to be freed until processes {pids} have finished reading",
            fields={"size": units.show_size(waiting), "bytes": waiting,
                    "pids": tuple(sorted({str(one.pid) for one in pinned}))})
    for number, name in sorted(opened.log.damaged):
        yield notice.Notice(
            code="log.copy_damaged",
            message="the commit log copy {name} on node {node} was damaged",
            fields={"name": name, "node": opened.node_name(number)})


def _unknown(source: str, now_ns: int) -> Fact:
    return Fact(value=None, source=source, at_ns=now_ns)


def _number(fact: Fact) -> int:
    return fact.value if isinstance(fact.value, int) else 0

