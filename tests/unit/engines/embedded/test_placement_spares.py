"""Who takes over a failed position, and how many failures are survived."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded import placement_cases as cases

from holdfast.engines.embedded import placement
from holdfast.model import topology

REPLICAS_3 = topology.replicas(3)
ERASURE_4_2 = topology.erasure(4, 2)


def spares(
    nodes: topology.Topology, protection: topology.Protection, row: tuple[int, ...], *failed: int
) -> list[int]:
    return list(placement.spares(nodes, protection, row, frozenset(failed)))


def test_the_spare_of_a_failed_replica_is_in_the_same_domain() -> None:
    nodes = cases.shelves([2, 2, 2])

    assert spares(nodes, REPLICAS_3, (1, 3, 5), 5)[0] == 6


def test_replicas_share_a_domain_only_when_nothing_else_is_left() -> None:
    nodes = cases.shelves([2, 2, 2])

    assert set(spares(nodes, REPLICAS_3, (1, 3, 5), 5, 6)) == {2, 4}


def test_a_free_domain_comes_before_one_that_holds_a_replica() -> None:
    nodes = cases.shelves([2, 1, 1])

    assert spares(nodes, REPLICAS_3, (1, 2, 3), 2)[0] == 4


def test_erasure_has_no_spare_where_a_domain_would_hold_more_than_m() -> None:
    nodes = cases.shelves([3, 2, 2])

    assert spares(nodes, ERASURE_4_2, (1, 2, 4, 5, 6, 7), 7) == []
    assert spares(nodes, ERASURE_4_2, (1, 2, 4, 5, 6, 7), 2) == [3]


def test_erasure_fills_a_domain_up_to_m_when_it_must() -> None:
    nodes = cases.shelves([2, 1, 1, 1, 1, 1])

    assert spares(nodes, ERASURE_4_2, (1, 3, 4, 5, 6, 7), 7) == [2]


def test_rows_without_anything_to_spare_yield_nothing() -> None:
    assert spares(cases.disks(4, 4, 4), REPLICAS_3, (1, 2, 3), 3) == []


def test_spares_share_the_load_by_weight() -> None:
    nodes = cases.disks(4, 4, 4, 4, 8)
    rows = [(1, gone) for gone in range(10, 1010)]

    firsts = Counter(spares(nodes, topology.replicas(2), row, 1)[0] for row in rows)

    assert 0.35 < firsts[5] / len(rows) < 0.45


@settings(deadline=None, max_examples=80)
@given(st.data(), cases.topologies(), st.sampled_from(cases.PROTECTIONS))
def test_spares_are_legal_complete_and_in_order(
    data: st.DataObject, nodes: topology.Topology, protection: topology.Protection
) -> None:
    assume(cases.carries(nodes, protection))
    row = data.draw(st.sampled_from(placement.build(nodes, protection, 8, version=1).rows))
    position = data.draw(st.integers(0, protection.width - 1))
    failed = frozenset({row[position]}) | data.draw(
        st.frozensets(st.sampled_from([one.number for one in nodes.nodes]))
    ).difference(row)

    found = list(placement.spares(nodes, protection, row, failed))

    assert len(set(found)) == len(found)
    assert not set(found) & (set(row) | failed)
    legal = [
        not cases.faults(nodes, protection, (*row[:position], number, *row[position + 1 :]))
        for number in found
    ]
    assert legal == sorted(legal, reverse=True)
    if protection.scheme is topology.Scheme.ERASURE:
        level = cases.carrying_level(nodes, protection)
        assert level is not None
        by_number = nodes.by_number()
        for number in found:
            held = Counter(cases.key_at(by_number[one], level) for one in {*row, number} - failed)
            assert max(held.values()) <= protection.parity
    else:
        takers = {one.number for one in cases.usable(nodes)} - set(row) - failed
        assert set(found) == takers


@pytest.mark.parametrize(
    ("nodes", "protection", "margin"),
    [
        (cases.disks(4, 4, 4), REPLICAS_3, 2),
        (cases.disks(4, 4), REPLICAS_3, 1),
        (cases.disks(), REPLICAS_3, 0),
        (cases.shelves([2, 2, 2]), ERASURE_4_2, 2),
        (cases.shelves([2, 2, 1]), ERASURE_4_2, 1),
        (cases.shelves([5, 1]), ERASURE_4_2, 0),
        (cases.disks(4, 4, 4), ERASURE_4_2, 0),
        (cases.shelves([3, 3]), REPLICAS_3, 2),
    ],
    ids=["full", "one less", "none", "4+2", "a node gone", "a domain too full", "lost", "shared"],
)
def test_the_target_margin_is_as_high_as_the_topology_allows(
    nodes: topology.Topology, protection: topology.Protection, margin: int
) -> None:
    assert placement.target_margin(nodes, protection) == margin


@pytest.mark.parametrize(
    ("nodes", "protection", "row", "margin"),
    [
        (cases.shelves([2, 2, 2]), ERASURE_4_2, (1, 2, 3, 4, 5, 6), 1),
        (cases.shelves([2, 2, 2]), ERASURE_4_2, (1, 2, 3, 4, 5), 0),
        (cases.shelves([2, 2, 2]), ERASURE_4_2, (1, 2, 3), -1),
        (cases.disks(4, 4, 4, 4, 4, 4), ERASURE_4_2, (1, 2, 3, 4, 5, 6), 2),
        (cases.shelves([2, 2, 2]), REPLICAS_3, (1, 3, 5), 2),
        (cases.shelves([2, 2]), REPLICAS_3, (1, 2, 3), 1),
        (cases.disks(4), topology.replicas(1), (1,), 0),
        (cases.disks(4), topology.replicas(1), (7,), -1),
    ],
    ids=["4+2", "a piece gone", "lost", "alone", "replicas", "two share", "one copy", "unknown"],
)
def test_the_domain_margin_counts_domains_that_may_fail(
    nodes: topology.Topology, protection: topology.Protection, row: tuple[int, ...], margin: int
) -> None:
    assert placement.domain_margin(nodes, protection, row) == margin
