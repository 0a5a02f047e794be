"""Choose nodes for pieces. Pure: no clock, disk or randomness.

Called by the writer (where does this shard go), heal and rebalance (what moves), init, apply and
plan (can these nodes carry this protection, and how much fits). A refusal is PlacementError.

A shard belongs to a placement group by hash; a table says for each group which nodes hold its
pieces. The first table is drawn by hashing (sampling) and then brought to the exact
clipped shares by few overrides (balance); each later one keeps all of the last that it can.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING

import xxhash

from holdfast import errors
from holdfast.engines.embedded import capacity, domains
from holdfast.engines.embedded.placement_table import Table, movement
from holdfast.engines.embedded.spares import domain_margin, spares, target_margin
from holdfast.model import notice, topology

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = [
    "Table",
    "build",
    "check",
    "domain_margin",
    "group_count",
    "group_of",
    "log_members",
    "movement",
    "spares",
    "table_usable_bytes",
    "target_margin",
    "usable_bytes",
    "warnings",
]


GROUPS_SMALL = 256
GROUPS_LARGE = 4096
SMALL_NODES_MAX = 16

_SHARD = struct.Struct("<QQ")


def group_of(object_id: int, shard: int, groups: int) -> int:
    """The placement group of a shard. Fixed in the format: never to be changed."""
    return xxhash.xxh3_64_intdigest(_SHARD.pack(object_id, shard)) % groups


def group_count(nodes: int) -> int:
    """How many placement groups a store of so many nodes is initialised with, for good."""
    return GROUPS_SMALL if nodes <= SMALL_NODES_MAX else GROUPS_LARGE


def build(
    nodes: topology.Topology,
    protection: topology.Protection,
    groups: int,
    *,
    previous: Table | None = None,
    version: int,
) -> Table:
    """A balanced table over the active nodes; with `previous`, the one that moves least.

    Deterministic. A piece that does not move keeps its position. Raises PlacementError.
    """
    from holdfast.engines.embedded import balance, sampling  # they load numpy

    check(nodes, protection)
    root = domains.tree(domains.placeable(nodes), protection)
    start = (
        sampling.draw(root, groups) if previous is None else _rows_of(previous, protection, groups)
    )
    rows = balance.settle(root, start, keep=previous is not None).tolist()
    return Table(
        protection=protection, version=version, groups=groups, rows=tuple(map(tuple, rows))
    )


def check(nodes: topology.Topology, protection: topology.Protection) -> None:
    """Raises PlacementError if the active nodes and their domains cannot carry the protection."""
    usable = domains.placeable(nodes)
    if len(usable) < protection.width:
        raise errors.PlacementError(
            "placement.too_few_nodes",
            "{protection} needs {wanted} nodes, and {available} can take data",
            hint="add nodes under engine.nodes in holdfast.yaml, or choose {instead}",
            protection=str(protection), wanted=protection.width, available=len(usable),
            instead=_instead(len(usable)),
        )  # fmt: skip
    rule = domains.rule_of(usable, protection)
    if protection.scheme is topology.Scheme.ERASURE and not rule.carried:
        raise errors.PlacementError(
            "placement.too_few_domains",
            "{protection} puts {wanted} pieces on nodes with at most {limit} in one domain, and "
            "{domains} domains have room for {available}",
            hint="add nodes in other domains under engine.nodes in holdfast.yaml, or choose "
            "{instead}",
            protection=str(protection), wanted=protection.width, available=rule.room,
            limit=rule.limit, domains=_domain_count(usable, rule.level),
            instead=_instead(len(usable)),
        )  # fmt: skip


def warnings(nodes: topology.Topology, protection: topology.Protection) -> tuple[notice.Notice, ...]:
    """What a person should know of a protection that check() accepts."""
    usable = domains.placeable(nodes)
    if len(usable) < protection.width or protection.width == 1:
        return ()
    rule = domains.rule_of(usable, protection)
    outer = _domain_count(usable, 0)
    fields: dict[str, errors.Field] = {
        "protection": str(protection), "wanted": protection.width, "domains": outer,
        "margin": protection.parity,
    }  # fmt: skip
    if rule.carried and rule.level > 0:
        return (notice.Notice(
            code="placement.inner_domains",
            message="{protection} cannot be spread over {domains} outer domains so that each may "
            "fail: it is kept apart by the domains inside them",
            fields=fields,
        ),)  # fmt: skip
    if not rule.carried and protection.scheme is topology.Scheme.REPLICAS:
        return (notice.Notice(
            code="placement.shared_domains",
            message="{protection} in {domains} domains puts several replicas in one domain: {margin} "
            "nodes may fail, but fewer domains than that",
            fields=fields,
        ),)  # fmt: skip
    return ()


def usable_bytes(nodes: topology.Topology, protection: topology.Protection) -> int:
    """Logical bytes that fit at the optimum; 0 where check() would refuse."""
    usable = domains.placeable(nodes)
    if len(usable) < protection.width:
        return 0
    return protection.data * capacity.longest_column(domains.tree(usable, protection))


def table_usable_bytes(nodes: topology.Topology, table: Table) -> int:
    """Logical bytes that fit by this table before its first node is full."""
    weights = {node.number: node.weight_bytes for node in nodes.nodes}
    held = Counter(number for row in table.rows for number in row)
    columns = (weights.get(number, 0) * table.groups // count for number, count in held.items())
    return table.protection.data * min(columns, default=0)


def log_members(nodes: topology.Topology, tolerated_failures: int) -> tuple[int, ...]:
    """The min(N, 2F+1) active nodes that hold the commit log, in order of number.

    Spread over the domains as evenly as possible, outermost first; else the oldest nodes.
    """
    active = sorted(nodes.active(), key=lambda node: node.number)
    depth = domains.depth_of(active)
    held: Counter[tuple[int, tuple[str, ...]]] = Counter()
    chosen: list[int] = []
    while active and len(chosen) < 2 * tolerated_failures + 1:
        spots = {
            node.number: [(level, domains.domain_at(node, level)) for level in range(depth)]
            for node in active
        }
        best = min(active, key=lambda node: ([held[s] for s in spots[node.number]], node.number))
        held.update(spots[best.number])
        chosen.append(best.number)
        active.remove(best)
    return tuple(sorted(chosen))


def _rows_of(previous: Table, protection: topology.Protection, groups: int) -> NDArray[numpy.int64]:
    import numpy  # it loads on use

    if previous.protection != protection or previous.groups != groups:
        raise errors.BugError(
            "placement.other_table",
            "a table for {wanted} was to follow one for {found}",
            hint="report this with the output of holdfast status --json",
            wanted=f"{protection}, {groups} groups",
            found=f"{previous.protection}, {previous.groups} groups",
        )
    return numpy.array(previous.rows, dtype=numpy.int64).reshape(groups, protection.width)


def _instead(available: int) -> str:
    """A protection that so many nodes carry."""
    return f"replicas {max(1, min(3, available))}"


def _domain_count(nodes: tuple[topology.Node, ...], level: int) -> int:
    return len({domains.domain_at(node, level) for node in nodes})
