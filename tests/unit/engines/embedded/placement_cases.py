"""Topologies for the tests of placement, and what placement must hold, said a second time.

Nothing here calls the code under test: rules and bounds are worked out anew, slowly and plainly.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from holdfast.model import topology

TERABYTE = 10**12
MIXED = (4, 4, 8, 8, 12, 12, 16, 16)
PROTECTIONS = (
    topology.replicas(1),
    topology.replicas(2),
    topology.replicas(3),
    topology.replicas(4),
    topology.erasure(2, 1),
    topology.erasure(2, 2),
    topology.erasure(3, 3),
    topology.erasure(4, 2),
)


def node(
    number: int, domain: Sequence[str] = (), terabytes: float = 4, *, active: bool = True
) -> topology.Node:
    return topology.Node(
        number=number,
        name=f"disk{number}",
        uuid=f"uuid-{number}",
        path=f"/mnt/disk{number}",
        domain=tuple(domain),
        weight_bytes=int(terabytes * TERABYTE),
        state=topology.NodeState.ACTIVE if active else topology.NodeState.DRAINING,
    )


def store(*nodes: topology.Node) -> topology.Topology:
    return topology.Topology(nodes=nodes)


def disks(*terabytes: float) -> topology.Topology:
    """Nodes that each stand alone."""
    return store(*(node(i + 1, (), size) for i, size in enumerate(terabytes)))


def shelves(sizes: Iterable[int], terabytes: float = 4) -> topology.Topology:
    """So many equal nodes in each of some domains."""
    names = [f"shelf{i}" for i, size in enumerate(sizes) for _ in range(size)]
    return store(*(node(i + 1, (name,), terabytes) for i, name in enumerate(names)))


def changed(nodes: topology.Topology, number: int, **fields: object) -> topology.Topology:
    return topology.Topology(
        nodes=tuple(
            dataclasses.replace(one, **fields) if one.number == number else one  # type: ignore[arg-type]
            for one in nodes.nodes
        )
    )


def drained(nodes: topology.Topology, number: int) -> topology.Topology:
    return changed(nodes, number, state=topology.NodeState.DRAINING)


def with_node(nodes: topology.Topology, added: topology.Node) -> topology.Topology:
    return topology.Topology(nodes=(*nodes.nodes, added))


@st.composite
def topologies(draw: st.DrawFn, nodes_max: int = 12) -> topology.Topology:
    """Flat, in domains, in nested domains, or any mixture; some nodes not active or without room."""
    shape = draw(
        st.sampled_from(
            [
                st.just(()),
                st.tuples(st.sampled_from("abcdef")),
                st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")),
                st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
            ]
        )
    )
    nodes = [
        dataclasses.replace(
            node(number, draw(shape), draw(st.sampled_from([0, 1, 4, 4, 4, 6, 8, 16, 40]))),
            state=draw(st.sampled_from([topology.NodeState.ACTIVE] * 9 + [topology.NodeState.OUT])),
        )
        for number in range(1, draw(st.integers(1, nodes_max)) + 1)
    ]
    return store(*nodes)


@st.composite
def changes(draw: st.DrawFn, nodes: topology.Topology) -> topology.Topology:
    """The topology after one thing that an operator does."""
    some = draw(st.sampled_from(nodes.nodes))
    new = dataclasses.replace(some, number=99, name="new")
    act = draw(st.sampled_from(["add", "drain", "remove", "replace", "weigh"]))
    if act == "add":
        domain = draw(st.sampled_from(nodes.nodes)).domain
        return with_node(nodes, dataclasses.replace(new, domain=domain))
    if act == "weigh":
        return changed(nodes, some.number, weight_bytes=draw(st.integers(1, 20)) * TERABYTE)
    if act == "drain":
        return drained(nodes, some.number)
    left = changed(nodes, some.number, state=topology.NodeState.REMOVED)
    return with_node(left, new) if act == "replace" else left


def usable(nodes: topology.Topology) -> list[topology.Node]:
    return [one for one in nodes.active() if one.weight_bytes]


def key_at(one: topology.Node, level: int) -> tuple[str, ...]:
    return (one.domain or (f"node:{one.name}",))[: level + 1]


def depth(nodes: topology.Topology) -> int:
    return max((len(one.domain) for one in nodes.nodes), default=1) or 1


def least_cap(nodes: topology.Topology, width: int, level: int) -> int | None:
    """The least possible maximum of pieces in one domain of a level; None: too few nodes."""
    sizes = Counter(key_at(one, level) for one in usable(nodes)).values()
    for cap in range(1, width + 1):
        if sum(min(cap, size) for size in sizes) >= width:
            return cap
    return None


def carrying_level(nodes: topology.Topology, protection: topology.Protection) -> int | None:
    """The outermost level of which the loss of one domain costs no more than is promised."""
    erasure = protection.scheme is topology.Scheme.ERASURE
    for level in range(depth(nodes)):
        cap = least_cap(nodes, protection.width, level)
        if cap is not None and cap <= (protection.parity if erasure else 1):
            return level
    return None


def carries(nodes: topology.Topology, protection: topology.Protection) -> bool:
    if protection.scheme is topology.Scheme.REPLICAS:
        return len(usable(nodes)) >= protection.width
    return carrying_level(nodes, protection) is not None


def faults(
    nodes: topology.Topology, protection: topology.Protection, row: Sequence[int]
) -> list[str]:
    """What is wrong with a row."""
    by_number = {one.number: one for one in usable(nodes)}
    if len(row) != protection.width or len(set(row)) != len(row):
        return [f"{row} is not one piece a node"]
    if not set(row) <= set(by_number):
        return [f"{row} has nodes that take no data"]
    level = carrying_level(nodes, protection) or 0
    cap = least_cap(nodes, protection.width, level)
    held = Counter(key_at(by_number[number], level) for number in row)
    wrong = [f"{row} puts {held} where {cap} are enough"] if max(held.values()) != cap else []
    if protection.scheme is topology.Scheme.REPLICAS:
        outer = {key_at(by_number[number], 0) for number in row}
        every = {key_at(one, 0) for one in usable(nodes)}
        if len(outer) < min(len(every), protection.width):
            wrong.append(f"{row} leaves {every - outer} free")
    return wrong


def counts(rows: Iterable[Sequence[int]]) -> Counter[int]:
    return Counter(itertools.chain.from_iterable(rows))


def moved(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> int:
    """Pieces that must be written anew."""
    return sum(len(set(new) - set(old)) for old, new in zip(before, after, strict=True))


def clipped_column(terabytes: Sequence[float], width: int) -> float:
    """The greatest L with sum(min(c, L)) = width x L, for nodes that stand alone."""
    low, high = 0.0, float(sum(terabytes))
    for _ in range(100):
        length = (low + high) / 2
        fits = sum(min(size, length) for size in terabytes) >= width * length
        low, high = (length, high) if fits else (low, length)
    return low


def fewest_moves_alone(
    nodes: topology.Topology,
    width: int,
    rows: Sequence[Sequence[int]],
    after: Counter[int],
) -> int:
    """A lower bound of movement for nodes that stand alone: by node, and by row.

    By node: what they hold afterwards and did not before. By row: nodes of the full share must be
    in every row, so a row keeps only as many others as leave them place.
    """
    sizes = {one.number: one.weight_bytes / TERABYTE for one in usable(nodes)}
    column = clipped_column(list(sizes.values()), width)
    held = counts(rows)
    by_node = sum(max(0, after[number] - held[number]) for number in sizes)
    full = {number for number, size in sizes.items() if size >= column * (1 - 1e-9)}
    others = set(sizes) - full
    by_row = sum(
        width - len(full & set(row)) - min(width - len(full), len(others & set(row)))
        for row in rows
    )
    return max(by_node, by_row)


class Flow:
    """Minimum-cost flow by successive shortest paths; for graphs of some hundred edges."""

    def __init__(self) -> None:
        self.targets: list[object] = []
        self.room: list[int] = []
        self.cost: list[int] = []
        self.edges: dict[object, list[int]] = {}

    def edge(self, source: object, target: object, room: int, cost: int = 0) -> None:
        for start, end, size, price in (
            (source, target, room, cost),
            (target, source, 0, -cost),
        ):
            self.edges.setdefault(start, []).append(len(self.targets))
            self.targets.append(end)
            self.room.append(size)
            self.cost.append(price)

    def solve(self) -> tuple[int, int]:
        """(flow, cost) of the greatest flow from "source" to "sink" at the least cost."""
        flow = cost = 0
        while (by := self._cheapest()) is not None:
            place: object = "sink"
            while place != "source":
                edge = by[place]
                self.room[edge] -= 1
                self.room[edge ^ 1] += 1
                cost += self.cost[edge]
                place = self.targets[edge ^ 1]
            flow += 1
        return flow, cost

    def _cheapest(self) -> dict[object, int] | None:
        best: dict[object, int] = {"source": 0}
        by: dict[object, int] = {}
        queue: deque[object] = deque(["source"])
        while queue:
            place = queue.popleft()
            for edge in self.edges[place]:
                total = best[place] + self.cost[edge]
                target = self.targets[edge]
                if self.room[edge] and total < best.get(target, 1 << 60):
                    best[target], by[target] = total, edge
                    queue.append(target)
        return by if "sink" in best else None


def fewest_moves(
    nodes: topology.Topology,
    protection: topology.Protection,
    rows: Sequence[Sequence[int]],
    after: Counter[int],
) -> int:
    """How many pieces must move at least until nodes hold as many as in `after`, by the rule.

    Exact where domains do not nest, and else no more than the truth (caps of one level only).
    """
    width = protection.width
    level = carrying_level(nodes, protection) or 0
    cap = least_cap(nodes, width, level)
    assert cap is not None
    flow = Flow()
    for group, row in enumerate(rows):
        flow.edge("source", ("row", group), width)
        for domain in {key_at(one, level) for one in usable(nodes)}:
            flow.edge(("row", group), (group, domain), cap)
        for one in usable(nodes):
            kept = one.number in row
            flow.edge((group, key_at(one, level)), one.number, 1, -1 if kept else 0)
    for one in usable(nodes):
        flow.edge(one.number, "sink", after[one.number])
    total, cost = flow.solve()
    assert total == width * len(rows)
    return total + cost
