"""The rows of a placement table while they are being changed, and what may stand in them.

Called by balance. A row is a group's nodes by position; nodes are indices in order of number, and
index EMPTY stands for a position that nobody holds. Judging is vectorised: many rows against many
nodes at once. Loads numpy, so import it where a table is built, not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy
from numpy.typing import NDArray

from holdfast.engines.embedded import domains, sampling

Integers = NDArray[numpy.int64]
Reals = NDArray[numpy.float64]
Flags = NDArray[numpy.bool_]
Counts = NDArray[numpy.uint8]

EMPTY = -1


class Board:
    """Rows under a tree of domains. `origin`: the rows as they came; `targets` are set by balance.

    `layers`: per level, outermost first, the domain of each node and the cap of each domain.
    `required_of`: the domain that may not stay free to which a node belongs, or -1.
    """

    def __init__(self, root: domains.Domain, rows: Integers) -> None:
        self.root = root
        self.width = root.cap
        self.numbers = [node.number for node in root.nodes]
        self.everyone: Integers = numpy.arange(len(self.numbers), dtype=numpy.int64)
        self.rows = _indices(self.numbers, rows)
        self.origin = self.rows.copy()
        self.layers = list(_layers(root))
        self.required_of, self.required_count = _required(root)
        self._seeds = sampling.node_seeds(self.numbers)
        held = self.rows[self.rows != EMPTY]
        self.counts: Integers = numpy.bincount(held, minlength=len(self.numbers)).astype(
            numpy.int64
        )
        self.targets = self.counts.copy()

    def put(self, group: int, position: int, node: int) -> None:
        """Put a node, or EMPTY, into a position."""
        before = self.rows[group, position]
        if before != EMPTY:
            self.counts[before] -= 1
        if node != EMPTY:
            self.counts[node] += 1
        self.rows[group, position] = node

    def offers(self, node: int, others: Integers) -> tuple[Integers, Integers, Reals]:
        """Where a node stands (groups, positions), and the scores of `others` in its place."""
        groups, positions = numpy.nonzero(self.rows == node)
        without = self.rows[groups]
        without[numpy.arange(len(groups)), positions] = EMPTY
        return groups, positions, self.scores(groups, without, others)

    def scores(self, groups: Integers, rows: Integers, nodes: Integers) -> Reals:
        """How well each node (columns) fits into an empty position of each row; inf: not at all.

        Less is better: first the fewest pieces in the same domains, then a pseudo-random mark.
        """
        illegal: Flags = positions_with(rows, nodes) > 0
        score: Reals = numpy.zeros(illegal.shape)
        for domain_of, caps in self.layers:
            inside = positions_with(domain_of[rows], domain_of[nodes])
            illegal |= inside >= caps[domain_of[nodes]]
            score = score * (self.width + 1) + inside
        if self.required_count:
            illegal |= self._leaves_one_free(rows, nodes)
        score += sampling.marks(groups, self._seeds[nodes])
        score[illegal] = numpy.inf
        return score

    def node_numbers(self) -> Integers:
        """The rows by node number."""
        return numpy.array(self.numbers, dtype=numpy.int64)[self.rows]

    def _leaves_one_free(self, rows: Integers, nodes: Integers) -> Flags:
        """Whether a required domain could get no piece any more, if the node came into the row."""
        present = occurrences(self.required_of[rows], self.required_count) > 0
        missing = self.required_count - present.sum(axis=1)
        mine = self.required_of[nodes]
        gain = (mine >= 0)[None, :] & ~present[:, mine]
        others = (rows == EMPTY).sum(axis=1) - 1
        free: Flags = missing[:, None] - gain > others[:, None]
        return free


def positions_with(rows: Integers, values: Integers) -> Counts:
    """How many positions of each row (rows) have each of the values (columns)."""
    found = numpy.zeros((len(rows), len(values)), dtype=numpy.uint8)
    for column in range(rows.shape[1]):
        found += rows[:, column, None] == values[None, :]
    return found


def occurrences(rows: Integers, kinds: int) -> Counts:
    """How often each of the values 0 to kinds-1 occurs in each row; others are not counted."""
    found = numpy.zeros((len(rows), kinds + 1), dtype=numpy.uint8)
    for column in range(rows.shape[1]):
        found[numpy.arange(len(rows)), rows[:, column]] += 1
    return found[:, :kinds]


def _indices(numbers: Sequence[int], rows: Integers) -> Integers:
    """Rows of node numbers as indices into `numbers`; EMPTY for what is not there."""
    most = max(int(rows.max(initial=0)), *numbers) + 1
    index = numpy.full(most + 1, EMPTY, dtype=numpy.int64)
    index[list(numbers)] = numpy.arange(len(numbers))
    return index[rows]


def _layers(root: domains.Domain) -> Iterator[tuple[Integers, Integers]]:
    """As Board.layers. The last domain of each is that of EMPTY.

    Levels where each node stands alone say no more than one piece a node, and are left out.
    """
    index = {node.number: i for i, node in enumerate(root.nodes)}
    for level in domains.by_level(root):
        if len(level) == len(root.nodes):
            continue
        domain_of = numpy.full(len(index) + 1, len(level), dtype=numpy.int64)
        for number, domain in enumerate(level):
            domain_of[[index[node.number] for node in domain.nodes]] = number
        yield domain_of, numpy.array([domain.cap for domain in level], dtype=numpy.int64)


def _required(root: domains.Domain) -> tuple[Integers, int]:
    """As Board.required_of, with -1 for EMPTY at the end, and how many such domains there are."""
    index = {node.number: i for i, node in enumerate(root.nodes)}
    required_of = numpy.full(len(index) + 1, -1, dtype=numpy.int64)
    count = 0
    for domain in domains.required(root):
        required_of[[index[node.number] for node in domain.nodes]] = count
        count += 1
    return required_of, count
