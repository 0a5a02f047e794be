"""Draw the nodes of each placement group by weighted hashing, domain by domain.

Called by placement for a store's first table. Every group gives every domain, then every node in
it, a pseudo-random mark, and takes those with the best marks: order sampling with fixed shares
(Rosén 1997, "Pareto sampling"). Its chances meet the clipped shares almost exactly, where marks of
the form -ln(u)/weight miss them by up to a third when a group takes many of few nodes. Only
integers, products and quotients are used: every machine draws the same table. Loads numpy, so
import it where a table is built, not before.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy
import xxhash
from numpy.typing import NDArray

from holdfast.engines.embedded import capacity
from holdfast.engines.embedded.domains import Domain

Integers = NDArray[numpy.int64]
Hashes = NDArray[numpy.uint64]
Reals = NDArray[numpy.float64]

_NEAR = 1e-9
_CELLS_MAX = 1 << 21  # marks computed at a time: 16 MiB
_GOLDEN = 0x9E3779B97F4A7C15  # the step of splitmix64


def draw(root: Domain, groups: int) -> Integers:
    """Rows of node numbers, one for each group, positions in pseudo-random order."""
    drawn: list[tuple[Integers, int]] = []
    _draw(root, root.cap, numpy.arange(groups, dtype=numpy.int64), drawn)
    group = numpy.concatenate([chosen for chosen, _ in drawn])
    node = numpy.concatenate(
        [numpy.full(len(chosen), number, dtype=numpy.int64) for chosen, number in drawn]
    )
    seed = numpy.array([_seed(b"order")], dtype=numpy.uint64)
    mixed = _scramble(_hashes(group, seed)[:, 0] + node.astype(numpy.uint64))
    order = numpy.lexsort((mixed, group))
    return node[order].reshape(groups, root.cap)


def node_seeds(numbers: Sequence[int]) -> Hashes:
    """What marks are made from, for each node number."""
    return numpy.array([_node_seed(number) for number in numbers], dtype=numpy.uint64)


def marks(groups: Integers, seeds: Hashes) -> Reals:
    """A uniform number in (0, 1) for each group (rows) and node seed (columns)."""
    return _uniform(_hashes(groups, seeds))


def _draw(domain: Domain, pieces: int, groups: Integers, drawn: list[tuple[Integers, int]]) -> None:
    """Add (groups, node number) for `pieces` pieces of each of `groups` inside the domain."""
    if pieces == len(domain.nodes):
        drawn.extend((groups, node.number) for node in domain.nodes)
        return
    taken = _taken(domain, pieces, groups)
    for column, part in enumerate(capacity.parts_of(domain)):
        counts = taken[:, column]
        for count in sorted(set(counts.tolist()) - {0}):
            chosen = groups[counts == count]
            if isinstance(part, Domain):
                _draw(part, count, chosen, drawn)
            else:
                drawn.append((chosen, part.number))


def _taken(domain: Domain, pieces: int, groups: Integers) -> NDArray[numpy.uint8]:
    """How many pieces each group (rows) puts into each part of the domain (columns)."""
    shares = capacity.spread(domain, pieces)
    whole = [math.floor(share + _NEAR) for share in shares]
    rest = [max(0.0, share - count) for share, count in zip(shares, whole, strict=True)]
    odds = numpy.array([(1 - chance) / chance if chance > _NEAR else math.inf for chance in rest])
    seeds = numpy.array(
        [
            _seed(b"domain", *(name.encode() for name in part.key), level=part.level)
            if isinstance(part, Domain)
            else _node_seed(part.number)
            for part in capacity.parts_of(domain)
        ],
        dtype=numpy.uint64,
    )
    taken = numpy.tile(numpy.array(whole, dtype=numpy.uint8), (len(groups), 1))
    extra = pieces - sum(whole)
    if extra == 0:
        return taken
    step = max(1, _CELLS_MAX // len(seeds))
    for at in range(0, len(groups), step):
        chance = _uniform(_hashes(groups[at : at + step], seeds))
        best = numpy.argpartition(chance / (1 - chance) * odds, extra - 1, axis=1)[:, :extra]
        taken[numpy.arange(at, at + len(best))[:, None], best] += 1
    return taken


def _seed(*words: bytes, level: int = 0) -> int:
    joined = b"".join(struct.pack("<I", len(word)) + word for word in words)
    return xxhash.xxh3_64_intdigest(joined, seed=level)


def _node_seed(number: int) -> int:
    return _seed(b"node", struct.pack("<I", number))


def _hashes(groups: Integers, seeds: Hashes) -> Hashes:
    """64 pseudo-random bits for each group (rows) and seed (columns)."""
    offsets = groups.astype(numpy.uint64) * numpy.uint64(_GOLDEN)
    return _scramble(offsets[:, None] + seeds[None, :])


def _scramble(bits: Hashes) -> Hashes:
    """The finaliser of splitmix64: every input bit reaches every output bit."""
    bits = (bits ^ (bits >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> numpy.uint64(31))


def _uniform(bits: Hashes) -> Reals:
    """The upper 53 bits as a number in (0, 1)."""
    return ((bits >> numpy.uint64(11)).astype(numpy.float64) + 0.5) * 2.0**-53
