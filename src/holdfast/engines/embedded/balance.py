"""Bring the rows of a placement table to their targets with as few moves as possible.

Called by placement, both after a fresh draw (few overrides) and from an earlier table (little
movement). Every move puts one other node into one position of one row and leaves the row within
the rule of its domains, so the work may stop after any of them.

Moves are found as in a minimum-cost flow: straight from a node that has too many to one that has
too few where some row allows it, else through other nodes along a cheapest chain; a position that
has moved already moves again for nothing. Rows constrain moves only by caps and floors of nested
domains, so a chain exists whenever counts differ from targets, and the targets are always met.
Loads numpy, so import it where a table is built, not before.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy

from holdfast.engines.embedded import board, capacity, domains
from holdfast.engines.embedded.board import EMPTY, Board, Integers, Reals

Slot = tuple[int, int]  # group, position
Offers = tuple[Integers, Integers, Reals]

_MOVE = 1 << 10  # what a move costs against one link more in a chain
_NEVER = 1 << 10
_FREE = 1e12  # more than any score: positions that have moved already go first
_VISITS_MAX = 1 << 10  # nodes looked at for one chain
_CELLS_MAX = 1 << 22  # pairs of row and node that are judged at a time


def settle(root: domains.Domain, rows: Integers, *, keep: bool) -> Integers:
    """Rows of node numbers (EMPTY or a node that is gone: to be filled) brought to the targets.

    `keep`: the rows are in use, so that targets are rounded to move little, not to hold most.
    """
    state = Board(root, rows)
    _evict(state)
    held = dict(zip(state.numbers, state.counts.tolist(), strict=True)) if keep else {}
    wanted = capacity.targets(root, len(rows), held)
    state.targets = numpy.array([wanted[number] for number in state.numbers], dtype=numpy.int64)
    _fill(state)
    _level(state)
    _restore_positions(state)
    return state.node_numbers()


def _evict(state: Board) -> None:
    """Empty the fewest positions so that every row is within its caps and can be completed."""
    share = capacity.shares(state.root, float(state.width))
    exact = numpy.array([share[number] * len(state.rows) for number in state.numbers])
    for domain_of, caps in reversed(state.layers):
        inside = board.occurrences(domain_of[state.rows], len(caps))
        for group, domain in numpy.argwhere(inside > caps[None, :]).tolist():
            row = state.rows[group]
            crowd = [at for at in range(state.width) if domain_of[row[at]] == domain]
            crowd.sort(key=lambda at: _surplus(state, row[at], exact))
            for position in crowd[int(caps[domain]) :]:
                state.put(group, position, EMPTY)
    if state.required_count:
        _evict_for_required(state, exact)


def _evict_for_required(state: Board, exact: Reals) -> None:
    """Make place in rows that leave a required domain free."""
    present = board.occurrences(state.required_of[state.rows], state.required_count)
    missing = (present == 0).sum(axis=1) - (state.rows == EMPTY).sum(axis=1)
    for group in numpy.flatnonzero(missing > 0).tolist():
        row, crowd = state.rows[group], present[group]
        for _ in range(int(missing[group])):
            spare = [
                at
                for at in range(state.width)
                if row[at] != EMPTY
                and (state.required_of[row[at]] < 0 or crowd[state.required_of[row[at]]] > 1)
            ]
            position = max(spare, key=lambda at: _surplus(state, row[at], exact))
            if state.required_of[row[position]] >= 0:
                crowd[state.required_of[row[position]]] -= 1
            state.put(group, position, EMPTY)


def _surplus(state: Board, node: int, exact: Reals) -> float:
    return float(state.counts[node] - exact[node]) / float(exact[node] or 1)


def _fill(state: Board) -> None:
    """Fill every empty position, with nodes that have too few as far as the rows allow."""
    step = max(1, _CELLS_MAX // len(state.numbers))
    while (empty := state.rows == EMPTY).any():
        groups = numpy.flatnonzero(empty.any(axis=1))
        positions = empty[groups].argmax(axis=1)
        for at in range(0, len(groups), step):
            left = _fill_straight(state, groups[at : at + step], positions[at : at + step])
            for group, position in left:
                _fill_by_chain(state, group, position)


def _fill_straight(state: Board, groups: Integers, positions: Integers) -> list[Slot]:
    """Fill one empty position of each group; those for which no node in need fits are returned."""
    in_need = numpy.flatnonzero(state.counts < state.targets)
    if not len(in_need):
        return list(zip(groups.tolist(), positions.tolist(), strict=True))
    score = state.scores(groups, state.rows[groups], in_need)
    left = []
    for i in numpy.argsort(numpy.isfinite(score).sum(axis=1), kind="stable").tolist():
        short = state.targets[in_need] - state.counts[in_need]
        line = numpy.where(short > 0, score[i] - short / max(1, short.max()), numpy.inf)
        best = int(line.argmin())
        if numpy.isfinite(line[best]):
            state.put(int(groups[i]), int(positions[i]), int(in_need[best]))
        else:
            left.append((int(groups[i]), int(positions[i])))
    return left


def _fill_by_chain(state: Board, group: int, position: int) -> None:
    """Fill with any node that fits, and let one that is in need come in elsewhere."""
    score = state.scores(numpy.array([group]), state.rows[[group]], state.everyone)[0]
    fitting = numpy.flatnonzero(numpy.isfinite(score)).tolist()
    path = _chain(state, fitting, price=_MOVE, least=0)
    state.put(group, position, path[0] if path else int(score.argmin()))
    _shift(state, path, 1)


def _level(state: Board) -> None:
    """Move pieces from nodes that have too many until all counts meet their targets."""
    over = state.counts - state.targets
    for node in numpy.argsort(-over, kind="stable").tolist():
        if over[node] > 0:
            _hand_over(state, node)
    for node in numpy.flatnonzero(state.counts > state.targets).tolist():
        _hand_over_by_chains(state, node)


def _hand_over(state: Board, node: int) -> None:
    """Give what a node has too many straight to nodes that have too few."""
    in_need = numpy.flatnonzero(state.counts < state.targets)
    if not len(in_need):
        return
    groups, positions, score = state.offers(node, in_need)
    score[~(state.origin[groups] == node).any(axis=1)] -= _FREE
    for i in numpy.argsort(score.min(axis=1), kind="stable").tolist():
        if state.counts[node] <= state.targets[node]:
            return
        short = state.counts[in_need] < state.targets[in_need]
        line = numpy.where(short, score[i], numpy.inf)
        best = int(line.argmin())
        if numpy.isfinite(line[best]):
            state.put(int(groups[i]), int(positions[i]), int(in_need[best]))


def _hand_over_by_chains(state: Board, node: int) -> None:
    """Give the rest through others: as few moves as possible, or else as few links."""
    while (over := int(state.counts[node] - state.targets[node])) > 0:
        for price in (_MOVE, 0):
            path = _chain(state, [node], price=price, least=price)
            short = int(state.targets[path[-1]] - state.counts[path[-1]]) if path else 0
            if path and _shift(state, path, min(over, short)):
                break
        else:
            return


def _chain(state: Board, sources: Sequence[int], *, price: int, least: int) -> list[int]:
    """The cheapest chain of nodes from a source to one that has too few, or nothing.

    Each link costs 1, and `price` for each piece that it moves: one where a piece leaves the row
    that it was in, none where it has moved already, one less where one comes back. No chain moves
    for less than `least`: the first that does not is taken.
    """
    short = state.counts < state.targets
    best = dict.fromkeys(sources, 0)
    before: dict[int, int] = {}
    queue = [(0, not short[node], node) for node in sorted(sources)]
    end = EMPTY
    for _ in range(_VISITS_MAX):
        if not queue:
            break
        cost, _, node = heapq.heappop(queue)
        if cost > best[node]:
            continue
        if short[node]:
            end = node if end == EMPTY or cost < best[end] else end
            if cost < least + _MOVE:
                break
            continue
        for other, moves in _takers(state, node):
            total = cost + 1 + price * moves
            if other not in best or total < best[other]:
                best[other] = total
                before[other] = node
                heapq.heappush(queue, (total, not short[other], other))
    return _walk(before, end) if end != EMPTY else []


def _takers(state: Board, node: int) -> Iterator[tuple[int, int]]:
    """Which nodes may take over from `node` in some row, and how many moves that adds."""
    offers = state.offers(node, state.everyone)
    fewest = _moves_added(state, node, state.everyone, offers).min(axis=0, initial=_NEVER)
    for other in numpy.flatnonzero(fewest < _NEVER).tolist():
        yield other, int(fewest[other])


def _moves_added(state: Board, node: int, others: Integers, offers: Offers) -> Integers:
    """By row and other node: 1, 0 or -1 more pieces away from their rows; _NEVER: not legal."""
    groups, _, score = offers
    origin = state.origin[groups]
    leaves = (origin == node).any(axis=1)
    moves: Integers = leaves[:, None].astype(numpy.int64) - board.positions_with(origin, others)
    moves[numpy.isinf(score)] = _NEVER
    return moves


def _shift(state: Board, path: Sequence[int], units: int) -> int:
    """Pass up to `units` pieces along a chain, last link first. Returns what its start gave."""
    links = list(itertools.pairwise(path))
    units = min([units, *(len(_slots(state, *link)) for link in links)])
    for source, target in reversed(links):
        slots = _slots(state, source, target)[:units]
        for group, position in slots:
            state.put(group, position, target)
        units = len(slots)
    return units


def _slots(state: Board, source: int, target: int) -> list[Slot]:
    """Positions where `target` may take over from `source`, all that add the fewest moves."""
    others = numpy.array([target])
    groups, positions, score = offers = state.offers(source, others)
    moves = _moves_added(state, source, others, offers)[:, 0]
    fewest = int(moves.min(initial=_NEVER))
    if fewest == _NEVER:
        return []
    order = numpy.lexsort((score[:, 0], moves))[: int((moves == fewest).sum())]
    return list(zip(groups[order].tolist(), positions[order].tolist(), strict=True))


def _walk(before: Mapping[int, int], last: int) -> list[int]:
    path = [last]
    while path[-1] in before:
        path.append(before[path[-1]])
        if len(path) > len(before) + 1:  # rows changed under a chain of nothing but returns
            return []
    return path[::-1]


def _restore_positions(state: Board) -> None:
    """Where a node came back into its row, give it the position that it had."""
    moved = (state.rows != state.origin) & (state.origin != EMPTY)
    for group, position in numpy.argwhere(moved).tolist():
        row, node = state.rows[group], state.origin[group, position]
        for found in numpy.flatnonzero(row == node).tolist():
            row[found], row[position] = row[position], node
