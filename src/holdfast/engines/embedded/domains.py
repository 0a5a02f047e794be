"""The tree of failure domains, and how many pieces of one shard each domain may hold.

Called by placement and its parts (capacity, rendezvous, balance, spares). Pure: it knows topology
and protection, and nothing of disks, clocks or tables.

The rule: one piece a node; the pieces of a shard are spread so that the fullest domain holds as few
as possible, at the outermost level of domains that can carry the protection (for erasure: with at
most m pieces in a domain; for replicas: with one). Levels further out and further in are spread as
evenly as that allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.model import topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """At which `level` (0: outermost) domains are kept apart, and how strictly.

    `limit` is the promise: pieces of one shard that a domain may hold so that its loss is survived
    (erasure: m; replicas: 1). `cap` is the least that this topology allows, `room` the pieces that
    fit under `limit`. `carried`: the protection fits at this level.
    """

    level: int
    limit: int
    cap: int
    room: int
    carried: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain with what it must (`floor`) and may (`cap`) hold of every shard.

    `nodes` are all nodes beneath it in order of number; `children` is empty at the innermost level.
    `required`: replicas may not share another domain while this one is free.
    """

    key: tuple[str, ...]
    level: int
    cap: int
    floor: int
    required: bool
    nodes: tuple[topology.Node, ...]
    children: tuple[Domain, ...]


def placeable(nodes: topology.Topology) -> tuple[topology.Node, ...]:
    """The nodes that may be given pieces, by number: active, and with a weight."""
    return tuple(
        sorted(
            (node for node in nodes.active() if node.weight_bytes > 0),
            key=lambda node: node.number,
        )
    )


def domain_at(node: topology.Node, level: int) -> tuple[str, ...]:
    """The domain of a node at a level. Nodes that name no domain so far in stay together."""
    return topology.domain_key(node)[: level + 1]


def depth_of(nodes: Iterable[topology.Node]) -> int:
    """How many levels of domains there are; at least 1."""
    return max((len(topology.domain_key(node)) for node in nodes), default=1)


def rule_of(nodes: Sequence[topology.Node], protection: topology.Protection) -> Rule:
    """The rule at the outermost level that carries the protection.

    If none does: replicas keep to the outermost level; erasure to the level with most room.
    """
    erasure = protection.scheme is topology.Scheme.ERASURE
    rules = [_rule_at(nodes, protection, level) for level in range(depth_of(nodes))]
    for rule in rules:
        if rule.carried:
            return rule
    return max(rules, key=lambda rule: (rule.room, -rule.level)) if erasure else rules[0]


def tree(nodes: Sequence[topology.Node], protection: topology.Protection) -> Domain:
    """All domains with their caps and floors. The root stands for the store: cap = floor = width."""
    rule = rule_of(nodes, protection)
    root = Domain(
        key=(), level=-1, cap=protection.width, floor=protection.width, required=False,
        nodes=tuple(nodes), children=(),
    )  # fmt: skip
    separate = protection.scheme is topology.Scheme.REPLICAS
    return _grow(root, rule, depth_of(nodes), separate=separate)


def by_level(root: Domain) -> list[list[Domain]]:
    """The domains level by level, outermost first, without the root."""
    levels = []
    level = list(root.children)
    while level:
        levels.append(level)
        level = [child for domain in level for child in domain.children]
    return levels


def required(root: Domain) -> Iterator[Domain]:
    """Disjoint domains that must each hold a piece of every shard."""
    inner = [found for child in root.children for found in required(child)]
    if inner:
        yield from inner
    elif root.required:
        yield root


def _rule_at(nodes: Sequence[topology.Node], protection: topology.Protection, level: int) -> Rule:
    sizes = list(Counter(domain_at(node, level) for node in nodes).values())
    erasure = protection.scheme is topology.Scheme.ERASURE
    limit = protection.parity if erasure else 1
    room = sum(min(limit, size) for size in sizes)
    carried = room >= protection.width
    cap = _least(sizes, protection.width)
    if erasure and not carried:
        cap = limit
    return Rule(level=level, limit=limit, cap=cap, room=room, carried=carried)


def _grow(domain: Domain, rule: Rule, depth: int, *, separate: bool) -> Domain:
    level = domain.level + 1
    if level == depth:
        return domain
    groups: dict[tuple[str, ...], list[topology.Node]] = {}
    for node in domain.nodes:
        groups.setdefault(domain_at(node, level), []).append(node)
    rooms = {key: _room(members, level, rule) for key, members in groups.items()}
    even = _least(list(rooms.values()), domain.cap)
    caps = {key: min(even, room) for key, room in rooms.items()}
    apart = separate and len(groups) > 1 and domain.floor >= len(groups)
    children = tuple(
        Domain(
            key=key, level=level, cap=caps[key], required=apart,
            floor=max(int(apart), domain.floor - sum(caps.values()) + caps[key]),
            nodes=tuple(groups[key]), children=(),
        )
        for key in sorted(groups)
    )  # fmt: skip
    grown = tuple(_grow(child, rule, depth, separate=separate) for child in children)
    return Domain(
        key=domain.key, level=domain.level, cap=domain.cap, floor=domain.floor,
        required=domain.required, nodes=domain.nodes, children=grown,
    )  # fmt: skip


def _room(members: Sequence[topology.Node], level: int, rule: Rule) -> int:
    """Pieces that the nodes of a domain at `level` can hold under the cap of the rule."""
    sizes = Counter(domain_at(node, max(level, rule.level)) for node in members).values()
    return sum(min(rule.cap, size) for size in sizes)


def _least(rooms: Sequence[int], wanted: int) -> int:
    """The least cap under which `rooms` still hold `wanted` together, or their greatest."""
    most = max(rooms, default=0)
    for cap in range(1, most):
        if sum(min(cap, room) for room in rooms) >= wanted:
            return cap
    return most
