"""Draw the nodes of each placement group at random, domain by domain, each by its exact share.

Called by placement for a store's first table. The randomness is hashing: every machine draws the
same. A group lines up the domains (then the nodes of each), lightest first but shuffled among
those of like weight, each as long as its share of a row, and cuts the line at steps of one piece
from a random start: systematic sampling. So every node has exactly its chance, a node of the full
share is always taken, and rows resemble each other in how many heavy and light nodes they hold,
which keeps later movement small: no row must give up two light nodes when shares grow. Plain
rendezvous hashing (marks of -ln(u)/weight) has none of this. Loads numpy, so import it where a
table is built, not before.
"""

from __future__ import annotations

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

_CELLS_MAX = 1 << 21  # marks computed at a time: 16 MiB
_UNIT_BITS = 40  # a piece is 2**40 units long: 64 pieces fit well into 63 bits
_FRACTION = (1 << _UNIT_BITS) - 1
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


def _taken(domain: Domain, pieces: int, groups: Integers) -> NDArray[numpy.int64]:
    """How many pieces each group (rows) puts into each part of the domain (columns)."""
    parts = capacity.parts_of(domain)
    lengths = _lengths(capacity.spread(domain, pieces), pieces)
    seeds = numpy.array([_part_seed(part) for part in parts], dtype=numpy.uint64)
    start = numpy.array([_seed(b"start", *_names(domain), level=domain.level)], dtype=numpy.uint64)
    taken = numpy.empty((len(groups), len(parts)), dtype=numpy.int64)
    step = max(1, _CELLS_MAX // len(parts))
    for at in range(0, len(groups), step):
        some = groups[at : at + step]
        place = lengths * (1.0 + marks(some, seeds))
        order = numpy.argsort(place, axis=1, kind="stable")
        ends = numpy.cumsum(lengths[order], axis=1)
        offset = (_hashes(some, start) >> numpy.uint64(64 - _UNIT_BITS)).astype(numpy.int64)
        cuts = (ends + offset) >> _UNIT_BITS
        counts = numpy.diff(cuts, axis=1, prepend=0)
        numpy.put_along_axis(taken[at : at + step], order, counts, axis=1)
    return taken


def _lengths(shares: Sequence[float], pieces: int) -> Integers:
    """Shares in units of 2**-40, so that they add up exactly and whole ones stay whole."""
    lengths: Integers = numpy.rint(numpy.array(shares) * (1 << _UNIT_BITS)).astype(numpy.int64)
    rest = (pieces << _UNIT_BITS) - int(lengths.sum())
    if rest:
        beside_whole = abs((lengths & _FRACTION) - (1 << _UNIT_BITS - 1))
        lengths[int(beside_whole.argmin())] += rest
    return lengths


def _seed(*words: bytes, level: int = 0) -> int:
    joined = b"".join(struct.pack("<I", len(word)) + word for word in words)
    return xxhash.xxh3_64_intdigest(joined, seed=level + 1)


def _names(domain: Domain) -> list[bytes]:
    return [name.encode() for name in domain.key]


def _part_seed(part: capacity.Part) -> int:
    if isinstance(part, Domain):
        return _seed(b"domain", *_names(part), level=part.level)
    return _node_seed(part.number)


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
