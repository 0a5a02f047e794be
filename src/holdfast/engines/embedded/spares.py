"""Which nodes may take over a failed position of a row, and how many failures a row survives.

Called by the writer when a node fails midway, by heal, and by status. Pure: what has failed is
told by the caller.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator, Sequence

import xxhash

from holdfast.engines.embedded import domains
from holdfast.model import topology

Spot = tuple[int, tuple[str, ...]]


def spares(
    nodes: topology.Topology,
    protection: topology.Protection,
    row: Sequence[int],
    excluded: frozenset[int],
) -> Iterator[int]:
    """Node numbers, best first, that may take over ONE failed position of the row.

    `excluded` are the failed nodes of the row and all others that must not be chosen. Nodes that
    keep the domain rule come first; then, as the last resort, those that keep only its promise
    (erasure: at most m pieces in a domain; replicas: one piece a node). For a second position,
    put the chosen node into the row and ask again.
    """
    known = nodes.by_number()
    staying = [known[number] for number in row if number in known and number not in excluded]
    candidates = [
        node
        for node in domains.placeable(nodes)
        if node.number not in excluded and node.number not in row
    ]
    if not candidates:
        return
    room = _Room(nodes, protection, staying)
    fitting = [node for node in candidates if room.keeps_rule(node)]
    relaxed = [node for node in candidates if node not in fitting and room.keeps_promise(node)]
    seed = xxhash.xxh3_64_intdigest(struct.pack(f"<{len(row)}q", *row))
    for choice in (fitting, relaxed):
        for node in sorted(choice, key=lambda node: (room.crowd(node), _mark(node, seed))):
            yield node.number


def target_margin(nodes: topology.Topology, protection: topology.Protection) -> int:
    """The margin of a shard whose every piece stands where the rule wants it.

    The parity of the protection, or less where the topology cannot carry the full width; never
    below 0, so that a lost shard is never on target.
    """
    usable = domains.placeable(nodes)
    pieces = min(protection.width, len(usable))
    if protection.scheme is topology.Scheme.ERASURE:
        pieces = min(pieces, domains.rule_of(usable, protection).room)
    return max(0, pieces - protection.data)


def domain_margin(
    nodes: topology.Topology, protection: topology.Protection, row: Sequence[int]
) -> int:
    """How many whole domains a row survives, at the level where the rule applies. -1: none left.

    `row` holds the numbers of the nodes whose pieces are good; others may be left out.
    """
    known = nodes.by_number()
    level = domains.rule_of(domains.placeable(nodes), protection).level
    pieces = [domains.domain_at(known[number], level) for number in row if number in known]
    left = len(pieces) - protection.data
    margin = -1
    for count in [0, *sorted(Counter(pieces).values(), reverse=True)]:
        left -= count
        if left < 0:
            break
        margin += 1
    return margin


class _Room:
    """What a row may still take beside the nodes that stay in it."""

    def __init__(
        self,
        nodes: topology.Topology,
        protection: topology.Protection,
        staying: Sequence[topology.Node],
    ) -> None:
        usable = domains.placeable(nodes)
        self.rule = domains.rule_of(usable, protection)
        self.depth = domains.depth_of((*usable, *staying))
        self.pieces = Counter(spot for node in staying for spot in self._spots(node))
        root = domains.tree(usable, protection)
        self.caps = {
            (domain.level, domain.key): domain.cap
            for level in domains.by_level(root)
            for domain in level
        }
        self.required = {(domain.level, domain.key) for domain in domains.required(root)}
        self.others = protection.width - len(staying) - 1
        self.erasure = protection.scheme is topology.Scheme.ERASURE

    def keeps_rule(self, node: topology.Node) -> bool:
        spots = self._spots(node)
        if any(self.pieces[spot] >= self.caps[spot] for spot in spots if spot in self.caps):
            return False
        free = {spot for spot in self.required if not self.pieces[spot]}
        return len(free.difference(spots)) <= self.others

    def keeps_promise(self, node: topology.Node) -> bool:
        spot = (self.rule.level, domains.domain_at(node, self.rule.level))
        return not self.erasure or self.pieces[spot] < self.rule.limit

    def crowd(self, node: topology.Node) -> tuple[int, ...]:
        """Pieces in the same domains, outermost first."""
        return tuple(self.pieces[spot] for spot in self._spots(node))

    def _spots(self, node: topology.Node) -> list[Spot]:
        return [(level, domains.domain_at(node, level)) for level in range(self.depth)]


def _mark(node: topology.Node, seed: int) -> float:
    """Less is better: pseudo-random by row and node, in proportion to weight."""
    bits = xxhash.xxh3_64_intdigest(struct.pack("<I", node.number), seed=seed)
    return -math.log(((bits >> 11) + 0.5) * 2.0**-53) / node.weight_bytes
