"""The steps that make a store and bring it to the file: new store, nodes, datasets.

Each may be repeated after a crash. A new store becomes one only with the last thing written, the
final sentinels; where none was written yet, preparing begins again, and the first one that is says
that all nodes are ready.
"""

from __future__ import annotations

import contextlib
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

import apsw

from holdfast import errors
from holdfast.engines.embedded import (
    changes,
    commit_lock,
    index,
    log_file,
    names,
    placement,
    readers,
    segment_writer,
    sentinel,
    session,
)
from holdfast.engines.embedded.apply import Record
from holdfast.kit import atomic, clock, ids
from holdfast.model import observation, plan, spec, topology

FOLDERS = ("pg", "tmp", segment_writer.FOLDER, "log", f"log/{readers.FOLDER}")
FIRST_EPOCH = 1


def create_store(wanted: spec.Spec, observed: observation.Observation, tolerated: int) -> None:
    """Ready the nodes, begin the commit log, and last make the folders nodes of one store."""
    store_id = ids.new_uuid()
    capacity = {one.name: one.capacity_bytes.value for one in observed.nodes}
    nodes = tuple(
        topology.Node(
            number=number, name=one.name, uuid=ids.new_uuid(), path=one.path, domain=one.domain,
            weight_bytes=one.weight_bytes or int(capacity[one.name] or 1))
        for number, one in enumerate(wanted.engine.nodes, start=1)
    )
    for one in nodes:
        _ready_folder(one, store_id, wanted.cluster)
    members = placement.log_members(topology.Topology(nodes=nodes), tolerated)
    _begin_log(nodes, members, store_id, wanted.cluster, tolerated)
    for one in nodes:
        with _preparing(one):
            sentinel.write(Path(one.path), _sentinel(one, store_id, wanted.cluster, generation=1))


def add_node(opened: session.Session, wanted: spec.NodeSpec, cluster: str, weight: int) -> None:
    """Take an empty folder into the store; new data goes there from now on."""
    known = opened.nodes()
    number = max((*(one.number for one in known.nodes), *opened.disks), default=0) + 1
    fresh = topology.Node(
        number=number, name=wanted.name, uuid=ids.new_uuid(), path=wanted.path,
        domain=wanted.domain, weight_bytes=weight)
    _ready_folder(fresh, opened.store_id, cluster)
    with _preparing(fresh):
        sentinel.write(Path(fresh.path), _sentinel(fresh, opened.store_id, cluster, generation=1))
    after = topology.Topology(nodes=(*known.nodes, fresh))
    records: list[Record] = [_node_record(fresh)]
    for table in opened.catalog.read(_tables):
        rebuilt = placement.build(after, table.protection, table.groups, previous=table,
                                  version=table.version + 1)
        records.append(_table_record(rebuilt))
    opened.committer.run(changes.Recorded(records))
    opened.changed()


def create_dataset(opened: session.Session, step: plan.Step) -> None:
    """Make a dataset, or change the policy of one that is there."""
    fields = step.fields
    protection = topology.parse_protection(str(fields["protection"]))
    rows = opened.catalog.read(names.datasets)
    same = next((one for one in rows if one.name == step.target), None)
    number = same.number if same else max((one.number for one in rows), default=0) + 1
    records = _missing_tables(opened, protection)
    records.append([
        "dataset", number, step.target, fields["path"], str(protection), fields["profile"],
        fields.get("quota"), fields.get("min_margin")])
    opened.committer.run(changes.Recorded(records))
    opened.changed()


def _missing_tables(opened: session.Session, protection: topology.Protection) -> list[Record]:
    """The placement tables that a protection needs and the store does not have yet."""
    have = {str(one.protection) for one in opened.catalog.read(_tables)}
    groups = int(str(opened.catalog.read(_groups)))
    records = []
    for wanted in (protection, opened.segment_protection(protection)):
        if str(wanted) in have:
            continue
        have.add(str(wanted))
        table = placement.build(opened.nodes(), wanted, groups, version=1)
        records.append(_table_record(table))
    return records


def _ready_folder(one: topology.Node, store_id: str, cluster: str) -> None:
    root = Path(one.path)
    with _preparing(one):
        sentinel.write(
            root, _sentinel(one, store_id, cluster, generation=sentinel.PREPARING))
        for unfinished in root.glob(f".{sentinel.path_of(root).name}.*"):
            atomic.remove(unfinished, point="prepare.unfinished")
        for name in FOLDERS:
            atomic.make_folder(root / name, point="prepare.folder")
        for old in log_file.list_names(root):  # of a preparation that was cut short
            atomic.remove(log_file.folder_of(root) / str(old), point="prepare.old_log")
        commit_lock.create(root)


def _begin_log(
    nodes: tuple[topology.Node, ...], members: tuple[int, ...], store_id: str, cluster: str,
    tolerated: int,
) -> None:
    groups = placement.group_count(len(nodes))
    records: list[list[object]] = [["store", store_id, cluster, groups, tolerated]]
    records += [_node_record(one) for one in nodes]
    records.append(["members", list(members), tolerated])
    name = log_file.Name(FIRST_EPOCH, 1, ids.new_number())
    header = log_file.pack_header(log_file.Header(
        uuids.UUID(store_id).bytes, name, log_file.GENESIS, members, members, tolerated,
        (0, "", 0)))
    frame, chain = log_file.pack_frame(
        1, log_file.GENESIS, log_file.pack_records(records), nonce=name.nonce)
    end = commit_lock.Mark(name, 1, chain, len(header) + len(frame))
    for one in nodes:
        if one.number in members:
            with _preparing(one):
                _begin_on(one, name, header + frame, end)


def _begin_on(
    one: topology.Node, name: log_file.Name, data: bytes, end: commit_lock.Mark
) -> None:
    root = Path(one.path)
    atomic.write_file(log_file.folder_of(root) / str(name), data, point="prepare.log")
    lock = commit_lock.LockFile(one.number, root)
    try:
        lock.promise(FIRST_EPOCH)
        lock.write_mark(commit_lock.pack_mark(end, commit_lock.CLEAN))
    finally:
        lock.close()


@contextlib.contextmanager
def _preparing(one: topology.Node) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.UnavailableError(
            "node.not_prepared", "{path} of node {node} could not be prepared: {reason}",
            hint="mend that, then run holdfast apply again: it goes on from here",
            path=one.path, node=one.name, reason=str(error),
        ) from error


def _sentinel(
    one: topology.Node, store_id: str, cluster: str, *, generation: int
) -> sentinel.Sentinel:
    return sentinel.Sentinel(store=store_id, cluster=cluster, node=one.uuid, number=one.number,
                             name=one.name, generation=generation)


def _node_record(one: topology.Node) -> Record:
    return ["node", one.number, one.uuid, one.name, "/".join(one.domain), one.weight_bytes,
            one.state.value, clock.SYSTEM.now_ns()]


def _table_record(table: placement.Table) -> Record:
    return ["table", str(table.protection), table.version, table.to_bytes()]


def _tables(connection: apsw.Connection) -> list[placement.Table]:
    rows = connection.execute("SELECT data FROM tables ORDER BY protection")
    return [placement.Table.from_bytes(row[0]) for row in rows]


def _groups(connection: apsw.Connection) -> object:
    return index.get_meta(connection)["groups"]

