"""How much fits: clipped by the rule, exact in bytes, and reached by the table."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded import placement_cases as cases

from holdfast.engines.embedded import placement
from holdfast.model import topology

REPLICAS_3 = topology.replicas(3)
ERASURE_4_2 = topology.erasure(4, 2)
TB = cases.TERABYTE


@pytest.mark.parametrize(
    ("nodes", "protection", "usable"),
    [
        (cases.disks(4, 4, 4), REPLICAS_3, 4 * TB),
        (cases.disks(4, 4, 400), REPLICAS_3, 4 * TB),
        (cases.disks(4, 4, 8), topology.replicas(2), 8 * TB),
        (cases.disks(5), topology.replicas(1), 5 * TB),
        (cases.disks(*cases.MIXED), REPLICAS_3, 80 * TB // 3),
        (cases.disks(*cases.MIXED), ERASURE_4_2, 48 * TB),
        (cases.shelves([2, 2, 2]), ERASURE_4_2, 16 * TB),
        (cases.shelves([9, 1, 1]), REPLICAS_3, 4 * TB),
        (cases.shelves([4, 4]), REPLICAS_3, 32 * TB // 3),
        (cases.shelves([8, 1]), REPLICAS_3, 4 * TB),
        (cases.shelves([3, 3]), ERASURE_4_2, 0),
        (cases.disks(4, 4), REPLICAS_3, 0),
    ],
    ids=[
        "even", "clipped", "two of three", "one", "mixed, replicas", "mixed, erasure", "4+2 on 3x2",
        "small domains clip", "two domains", "one small domain clips", "refused", "too few",
    ],
)  # fmt: skip
def test_usable_bytes_is_the_optimum_that_the_rule_allows(
    nodes: topology.Topology, protection: topology.Protection, usable: int
) -> None:
    assert placement.usable_bytes(nodes, protection) == usable


@pytest.mark.parametrize("groups", [256, 4096])
@pytest.mark.parametrize("protection", [REPLICAS_3, ERASURE_4_2], ids=str)
@pytest.mark.parametrize(
    "nodes",
    [
        cases.disks(*cases.MIXED),
        cases.store(
            *(cases.node(i + 1, (f"shelf{i % 4}",), size) for i, size in enumerate(cases.MIXED * 2))
        ),
        cases.store(
            *(
                cases.node(i + 1, (f"rack{i % 3}", f"host{i // 2}"), size)
                for i, size in enumerate(cases.MIXED * 3)
            )
        ),
    ],
    ids=["each alone", "four shelves", "three racks of hosts"],
)
def test_a_table_over_mixed_disks_reaches_the_optimum(
    nodes: topology.Topology, protection: topology.Protection, groups: int
) -> None:
    table = placement.build(nodes, protection, groups, version=1)

    reached = placement.table_usable_bytes(nodes, table)

    optimum = placement.usable_bytes(nodes, protection)
    assert 0.97 * optimum <= reached <= optimum
    assert len(nodes.nodes) > 8 or reached >= 0.99 * optimum


@settings(deadline=None, max_examples=60)
@given(cases.topologies(), st.sampled_from(cases.PROTECTIONS))
def test_no_table_holds_more_than_the_optimum_and_none_much_less(
    nodes: topology.Topology, protection: topology.Protection
) -> None:
    assume(cases.carries(nodes, protection))
    optimum = placement.usable_bytes(nodes, protection)

    table = placement.build(nodes, protection, 128, version=1)

    reached = placement.table_usable_bytes(nodes, table)
    least = min(cases.counts(table.rows).values())
    assert reached <= optimum + protection.data
    assert reached >= optimum * (1 - 1 / least) - protection.data


def test_a_table_counts_its_fullest_node_and_not_those_that_left() -> None:
    table = placement.Table(
        protection=topology.replicas(2), version=1, groups=2, rows=((1, 2), (1, 3))
    )

    assert placement.table_usable_bytes(cases.disks(4, 4, 8), table) == 4 * TB
    assert placement.table_usable_bytes(cases.disks(8, 4, 8), table) == 8 * TB
    assert placement.table_usable_bytes(cases.disks(8, 4), table) == 0
