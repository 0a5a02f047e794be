"""An opened store: its nodes, log, index, placement and writing threads, put together.

The engine makes one on `open` and drops it on `close`; the parts below it never see the engine.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import apsw

from holdfast import errors
from holdfast.engines.embedded import (
    catalog,
    changes,
    commit_log,
    committer,
    names,
    node,
    placement,
    readers,
    repairs,
    segment_reader,
    segment_writer,
    sentinel,
    shard_job,
    shard_writer,
    spares,
    store,
)
from holdfast.kit import clock
from holdfast.model import spec, topology

HEALTH_S = 1.0  # how long a look at the nodes is believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tests and operators may set. Times in seconds, sizes in bytes."""

    shard_bytes: Mapping[spec.Profile, int] = field(default_factory=lambda: dict(spec.SHARD_BYTES))
    node_deadline_s: float = 30.0
    lock_wait_s: float = 30.0
    image_after_bytes: int = 256 << 20
    segment_bytes_max: int = 256 << 20


class Session:
    """Everything that is open. Thread-safe."""

    def __init__(
        self, wanted: spec.Spec, found: store.Found, *, read_only: bool, tuning: Tuning
    ) -> None:
        header = store.newest_header(found)
        if found.store is None or header is None:
            raise errors.UnavailableError(
                "log.none", "none of the nodes holds a commit log",
                hint="holdfast status shows which nodes are missing; bring them back",
            )
        self.store_id = found.store
        self.store_bytes = header.store
        self.read_only = read_only
        self.tuning = tuning
        self.pid = os.getpid()
        self.disks: dict[int, node.NodeDisk] = {}
        for uuid, look in found.nodes.items():
            mark = look.sentinel
            assert mark is not None
            self.disks[mark.number] = node.NodeDisk(mark.number, mark.name, uuid, look.path)
        self.folder = store.state_folder(wanted, found.store)
        members = [self._member(number) for number in header.members]
        self.log = commit_log.CommitLog(self.store_bytes, members, header.tolerated, self.barrier)
        self.catalog = catalog.Catalog(
            self.log, self.folder, read_only=read_only,
            image_after_bytes=tuning.image_after_bytes)
        self.committer = committer.Committer(self.catalog, wait_s=tuning.lock_wait_s)
        self.shards = shard_writer.ShardWriter(self.disks, deadline_s=tuning.node_deadline_s)
        self.segments = segment_writer.SegmentWriter(
            self.store_bytes, self.disks, self.committer, home=self._segment_home,
            adoptable=self._adoptable, barrier=self.barrier, bytes_max=tuning.segment_bytes_max)
        self.segment_files = segment_reader.SegmentReader()
        self.readers = readers.ReaderSlots(self.log.roots, self.log.majority)
        self.repairs = repairs.Repairs(self.folder, read_only=read_only)
        self._tables: dict[str, tuple[int, placement.Table]] = {}
        self._health: tuple[float, frozenset[int]] = (-1.0, frozenset())
        self._health_lock = threading.Lock()
        self._topology: topology.Topology | None = None
        self._datasets: list[names.Dataset] = []
        self._devices: dict[int, int] = {}
        self._segment_nodes: dict[int, tuple[int, ...]] = {}

    def open(self) -> None:
        self.catalog.open()

    def close(self) -> None:
        self.segments.finish()
        self.committer.close()
        self.segments.close()
        self.readers.close()
        self.segment_files.close()
        self.catalog.close()
        self.repairs.close()
        for disk in self.disks.values():
            disk.close()

    def forget(self) -> None:
        """In the child of a fork: everything here belongs to the parent."""
        self.readers.forget()
        self.catalog.forget()

    def check_room(self) -> None:
        """Raises RefusedError while the disks are so full that only what frees space is taken."""
        if self.log.reserve.short():
            raise changes.no_room()

    # --- nodes --------------------------------------------------------------------------------

    def up(self) -> frozenset[int]:
        """The nodes that can be read now: there, of this store, not suspect. Seen within 1 s."""
        with self._health_lock:
            when, numbers = self._health
            now = clock.SYSTEM.monotonic_s()
            if now - when > HEALTH_S or when < 0:
                numbers = self._look()
                self._health = (now, numbers)
            return numbers

    def _look(self) -> frozenset[int]:
        """Ask every node, in its own threads, whether its sentinel is there."""
        asked = []
        for number, disk in self.disks.items():
            with contextlib.suppress(node.NodeFailed):
                path = sentinel.path_of(disk.root)
                asked.append((number, disk, disk.submit(
                    path.exists, deadline_s=self.tuning.node_deadline_s)))
        there = set()
        for number, disk, operation in asked:
            with contextlib.suppress(node.NodeFailed):
                if disk.outcome(operation):
                    there.add(number)
        return frozenset(there)

    def nodes(self) -> topology.Topology:
        """The nodes as the commit log knows them; those that are away are not ACTIVE for writes."""
        if self._topology is None:
            self._topology = self.catalog.read(nodes_of)
        return self._topology

    def node_name(self, number: int) -> str:
        """"" for a place where no piece is."""
        found = self.nodes().by_number().get(number)
        return found.name if found is not None else ""

    def changed(self) -> None:
        """Nodes or tables were changed: read them again."""
        self._topology = None
        self._datasets = []
        self._tables.clear()

    def barrier(
        self, jobs: Sequence[tuple[int, Callable[[], None]]], need: int = 0
    ) -> dict[int, OSError]:
        """Run one job a node, side by side; the failures by node number.

        Nodes on one device share a thread for it: their syncs queue up in the device anyway.
        """
        del need
        groups: dict[int, list[tuple[int, Callable[[], None]]]] = {}
        for number, job in jobs:
            groups.setdefault(self._device_of(number), []).append((number, job))
        failures: dict[int, OSError] = {}
        if len(groups) == 1:  # one device: a thread of its own would wait for it just the same
            self._usable_disk(jobs, failures)
            _run_group(jobs, failures, set())
            return failures
        running = []
        for group in groups.values():
            left = {number for number, _ in group}
            disk = self._usable_disk(group, failures)
            if disk is not None:
                running.append((disk, left, disk.submit(
                    _run_group, group, failures, left,
                    deadline_s=self.tuning.node_deadline_s)))
        for disk, left, operation in running:
            try:
                disk.outcome(operation)
            except node.NodeFailed as failure:
                for number in list(left):
                    failures[number] = _as_error(failure)
                    self.disks[number].suspect = self.disks[number].suspect or failure.reason
        return failures

    def _device_of(self, number: int) -> int:
        known = self._devices.get(number)
        if known is None:
            try:
                known = os.stat(self.disks[number].root).st_dev
            except (OSError, KeyError):
                return -number
            self._devices[number] = known
        return known

    def _usable_disk(
        self, group: Sequence[tuple[int, Callable[[], None]]], failures: dict[int, OSError]
    ) -> node.NodeDisk | None:
        """A node of the group whose threads work; suspect ones fail at once."""
        found = None
        for number, _ in group:
            disk = self.disks.get(number)
            if disk is None or disk.suspect is not None:
                reason = "node.missing" if disk is None else disk.suspect or ""
                failures[number] = _as_error(node.NodeFailed(reason, number))
            elif found is None:
                found = disk
        return found

    # --- datasets -----------------------------------------------------------------------------

    def dataset_of(self, path: str) -> names.Dataset | None:
        """The dataset that holds a path, from memory where possible.

        What changes in it (`used`, `objects`, the quota) may be old: the commit judges by the index.
        """
        for fresh in (False, True):
            if fresh or not self._datasets:
                self._datasets = self.catalog.read(names.datasets)
            for one in self._datasets:
                if path.startswith(one.path) and (
                    len(path) == len(one.path) or path[len(one.path)] == "/"
                ):
                    return one
        return None

    def dataset_paths(self) -> list[str]:
        return [one.path for one in self._datasets]

    # --- placement ------------------------------------------------------------------------------

    def row(self, protection: topology.Protection, object_id: int, shard: int) -> tuple[
        int, tuple[int, ...]
    ]:
        """(placement group, the nodes of its pieces in order)."""
        table = self._table(protection)
        group = placement.group_of(object_id, shard, table.groups)
        return group, table.rows[group]

    def spares_for(self, protection: topology.Protection) -> Callable[
        [frozenset[int]], Iterator[int]
    ]:
        """Nodes that may stand in, best first, given all that were tried."""

        def choose(tried: frozenset[int]) -> Iterator[int]:
            up = self.up()
            staying = [one for one in tried if one in up]
            gone = frozenset(one for one in tried if one not in up) | (
                frozenset(self.disks) - up)
            return spares.spares(self.nodes(), protection, staying, gone)

        return choose

    def segment_protection(self, protection: topology.Protection) -> topology.Protection:
        """Small objects are kept as replicas: as many as survive what the dataset promises."""
        return topology.replicas(protection.parity + 1)

    def margin(self, protection: topology.Protection, nodes: tuple[int, ...]) -> int:
        """How many more of these nodes may fail: -1 when already too few are up."""
        up = self.up()
        have = sum(1 for number in nodes if number in up)
        return max(-1, have - protection.data)

    def segment_margin(self, number: int) -> int:
        """The margin of what lies in a segment."""
        found = self._segment_nodes.get(number)
        if found is None:
            found = self.catalog.read(lambda one: segment_nodes(one, number))
            self._segment_nodes = {number: found}
        return self.margin(topology.replicas(1), found)

    # --- inside -------------------------------------------------------------------------------

    def _member(self, number: int) -> commit_log.Member:
        disk = self.disks.get(number)
        if disk is None:
            return commit_log.Member(number, f"~{number:05d}", None)
        return commit_log.Member(number, disk.uuid, disk.root)

    def _table(self, protection: topology.Protection) -> placement.Table:
        key = str(protection)
        known = self._tables.get(key)
        if known is not None:
            return known[1]

        def load(connection: apsw.Connection) -> tuple[int, bytes] | None:
            row = connection.execute(
                "SELECT version, data FROM tables WHERE protection=?", (key,)).fetchone()
            return (row[0], row[1]) if row else None

        found = self.catalog.read(load)
        if found is None:
            raise errors.PlacementError(
                "placement.no_table", "no placement was laid out for {protection}",
                hint="run holdfast apply", protection=key,
            )
        table = placement.Table.from_bytes(found[1])
        self._tables[key] = (found[0], table)
        return table

    def _segment_home(self, dataset: int) -> segment_writer.Home:
        wanted, quorum = self._segment_wishes(dataset)
        number = segment_writer.new_segment_id()
        group, nodes = self.row(wanted, number, 0)
        return segment_writer.Home(
            number, str(wanted), group, nodes, quorum, self.spares_for(wanted))

    def _segment_wishes(self, dataset: int) -> tuple[topology.Protection, int]:
        """The copies of a dataset's segments, and below how many nothing is written."""

        def load(connection: apsw.Connection) -> tuple[str, int | None]:
            row = connection.execute(
                "SELECT protection, min_margin FROM datasets WHERE number=?",
                (dataset,)).fetchone()
            assert row is not None
            return str(row[0]), row[1]

        protection, min_margin = self.catalog.read(load)
        wanted = self.segment_protection(topology.parse_protection(protection))
        return wanted, max(shard_job.quorum(wanted), (min_margin or 0) + 1)

    def _adoptable(self, dataset: int) -> list[tuple[int, tuple[int, ...], int]]:
        def load(connection: apsw.Connection) -> list[tuple[int, tuple[int, ...], int]]:
            rows = connection.execute(
                "SELECT s.id, l.nodes, s.length FROM segments AS s JOIN layouts AS l "
                "ON l.id=s.layout WHERE s.dataset=? AND s.sealed=0 ORDER BY s.length LIMIT 16",
                (dataset,))
            return [(number, numbers_of(nodes), length) for number, nodes, length in rows]

        wanted, _ = self._segment_wishes(dataset)
        return [one for one in self.catalog.read(load) if len(one[1]) == wanted.width]


def nodes_of(connection: apsw.Connection) -> topology.Topology:
    """The nodes of the index."""
    rows = connection.execute(
        "SELECT number, name, uuid, domain, weight, state FROM nodes ORDER BY number")
    return topology.Topology(nodes=tuple(
        topology.Node(
            number=number, name=name, uuid=uuid, path="", weight_bytes=weight,
            domain=tuple(part for part in domain.split("/") if part),
            state=topology.NodeState(state))
        for number, name, uuid, domain, weight, state in rows
    ))


def segment_nodes(connection: apsw.Connection, number: int) -> tuple[int, ...]:
    row = connection.execute(
        "SELECT l.nodes FROM segments AS s JOIN layouts AS l ON l.id=s.layout WHERE s.id=?",
        (number,)).fetchone()
    return numbers_of(row[0]) if row else ()


def numbers_of(text: str) -> tuple[int, ...]:
    """The node numbers of a layout's column."""
    return tuple(int(part) for part in text.split(","))


def _run_group(
    group: Sequence[tuple[int, Callable[[], None]]], failures: dict[int, OSError], left: set[int]
) -> None:
    """The jobs of nodes that share a device, one after the other; each may fail by itself."""
    for number, job in group:
        if number not in failures:
            try:
                job()
            except OSError as error:
                failures[number] = error
        left.discard(number)


def _as_error(failure: node.NodeFailed) -> OSError:
    """TimeoutError for a node that hangs."""
    kind = TimeoutError if failure.reason == "node.timeout" else OSError
    return kind(str(failure))
