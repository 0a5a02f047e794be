"""How much of the optimum a placement table reaches on nodes of 4, 4, 8, 8, 12, 12, 16, 16 TB."""

from __future__ import annotations

from collections import Counter

from bench.figures import Sample
from holdfast.engines.embedded import placement
from holdfast.model import topology

TERABYTE = 10**12
SIZES_TB = (4, 4, 8, 8, 12, 12, 16, 16)
_PROTECTIONS = {"replicas": topology.replicas(3), "erasure": topology.erasure(4, 2)}


def samples() -> list[Sample]:
    """Logical TB that fit until the first node is full, against the best that any layout can do."""
    nodes = topology.Topology(
        nodes=tuple(
            topology.Node(number=number, name=f"n{number}", uuid=f"{number:032x}", path=f"/n{number}",
                          domain=(), weight_bytes=size * TERABYTE)
            for number, size in enumerate(SIZES_TB)
        )
    )
    return [
        Sample(row=f"capacity_{name}", reference=best_tb(protection),
               measured=reached_tb(nodes, protection))
        for name, protection in _PROTECTIONS.items()
    ]


def best_tb(protection: topology.Protection) -> float:
    """Greatest k x L with sum(min(c, L)) >= width x L: one piece of a shard for each node."""
    low, high = 0.0, float(sum(SIZES_TB))
    for _ in range(100):
        middle = (low + high) / 2
        if sum(min(size, middle) for size in SIZES_TB) >= protection.width * middle:
            low = middle
        else:
            high = middle
    return protection.data * low


def reached_tb(nodes: topology.Topology, protection: topology.Protection) -> float:
    """Shards fall on all groups alike, so the node that is fullest for its size ends it."""
    groups = placement.group_count(len(SIZES_TB))
    table = placement.build(nodes, protection, groups=groups, version=1)
    slots = Counter(node for row in table.rows for node in row)
    column = min(SIZES_TB[number] * table.groups / count for number, count in slots.items())
    return protection.data * column
