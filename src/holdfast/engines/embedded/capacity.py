"""How much fits, and which share of the pieces each node should hold. Pure, integers where exact.

Called by placement. A node can hold at most one piece of a shard, so weights are clipped: the
longest column of pieces L is the greatest with sum(min(c_i, L)) = width x L, where a domain counts
at most cap x L. Nodes then hold min(c_i, L) / L of all rows, unless their domain is saturated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from holdfast.engines.embedded.domains import Domain
from holdfast.model import topology

Part = Domain | topology.Node

_EXACT = 1e-13  # relative; float64 sums of some thousand shares are no better
_STEPS_MAX = 256  # Newton's method on straight pieces needs a handful
_NEAR = 1e-7  # shares are float64 times at most 2**22 slots: their error is below 1e-9


def longest_column(root: Domain) -> int:
    """L in bytes: the pieces at one position of all rows, at the optimum. 0: nothing fits."""
    low, high = 0, sum(node.weight_bytes for node in root.nodes) // max(1, root.floor)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if _reach(root, middle) is None else (middle, high)
    return low


def spread(domain: Domain, pieces: float) -> list[float]:
    """How many of `pieces` of an average row each part of the domain should hold.

    Parts are its children, or its nodes where it has none. All parts fill at one rate, except those
    that their cap holds back or their floor pushes on.
    """
    parts = parts_of(domain)
    rate = pieces / sum(node.weight_bytes for node in domain.nodes)
    low, high = 0.0, 1.0 / min(node.weight_bytes for node in domain.nodes)
    fills: list[tuple[float, float]] = []
    for _ in range(_STEPS_MAX):
        fills = [_fill(part, rate) for part in parts]
        missing = pieces - sum(value for value, _ in fills)
        low, high = (rate, high) if missing > 0 else (low, rate)
        slope = sum(growth for _, growth in fills)
        rate = rate + missing / slope if slope else high
        if not low < rate < high:
            rate = (low + high) / 2
        if abs(missing) <= _EXACT * pieces or not low < rate < high:
            break
    return [value for value, _ in fills]


def shares(domain: Domain, pieces: float) -> dict[int, float]:
    """By node number: in which part of all rows it should stand, 0 to 1."""
    found: dict[int, float] = {}
    for part, share in zip(parts_of(domain), spread(domain, pieces), strict=True):
        if isinstance(part, Domain):
            found |= shares(part, share)
        else:
            found[part.number] = share
    return found


def targets(root: Domain, groups: int, held: Mapping[int, int]) -> dict[int, int]:
    """By node number: how many of `groups` rows it should stand in; the sum is width x groups.

    Every count, also that of a domain, is the exact share rounded up or down: towards what is
    `held` already, so that rounding moves nothing, and else so that the fullest node is least so.
    """
    found: dict[int, int] = {}
    _divide(root, float(root.cap), root.cap * groups, (groups, held, found))
    return found


def parts_of(domain: Domain) -> Sequence[Part]:
    return domain.children or domain.nodes


def _reach(domain: Domain, length: int) -> int | None:
    """Bytes that a domain can hold with columns of `length`; None: less than it must."""
    total = 0
    for part in parts_of(domain):
        reach = _reach(part, length) if isinstance(part, Domain) else min(part.weight_bytes, length)
        if reach is None:
            return None
        total += reach
    return None if total < domain.floor * length else min(total, domain.cap * length)


def _fill(part: Part, rate: float) -> tuple[float, float]:
    """(pieces, how they grow with the rate) of a part whose nodes fill at `rate` per byte."""
    if isinstance(part, topology.Node):
        share = part.weight_bytes * rate
        return (share, float(part.weight_bytes)) if share < 1.0 else (1.0, 0.0)
    fills = [_fill(below, rate) for below in parts_of(part)]
    inner = sum(value for value, _ in fills)
    if part.floor < inner < part.cap:
        return inner, sum(growth for _, growth in fills)
    return min(float(part.cap), max(float(part.floor), inner)), 0.0


def _divide(
    domain: Domain,
    pieces: float,
    slots: int,
    context: tuple[int, Mapping[int, int], dict[int, int]],
) -> None:
    groups, held, found = context
    parts = parts_of(domain)
    portions = spread(domain, pieces)
    have = [
        sum(held.get(node.number, 0) for node in part.nodes)
        if isinstance(part, Domain)
        else held.get(part.number, 0)
        for part in parts
    ]
    counts = _apportion([portion * groups for portion in portions], slots, have)
    for part, portion, count in zip(parts, portions, counts, strict=True):
        if isinstance(part, Domain):
            _divide(part, portion, count, context)
        else:
            found[part.number] = count


def _apportion(exact: Sequence[float], slots: int, have: Sequence[int]) -> list[int]:
    """Whole numbers next to `exact` that sum to `slots`, and of these the nearest to `have`."""
    low = [math.floor(value + _NEAR) for value in exact]
    high = [math.ceil(value - _NEAR) for value in exact]
    counts = [max(low[i], min(high[i], have[i])) for i in range(len(exact))]
    missing = slots - sum(counts)
    if missing > 0:
        order = sorted(
            range(len(exact)),
            key=lambda i: (counts[i] >= high[i], have[i] <= counts[i], high[i] / (exact[i] or 1)),
        )
        step = 1
    else:
        order = sorted(
            range(len(exact)),
            key=lambda i: (counts[i] <= low[i], have[i] >= counts[i], -counts[i] / (exact[i] or 1)),
        )
        step = -1
    for i in order[: abs(missing)]:
        counts[i] += step
    return counts
