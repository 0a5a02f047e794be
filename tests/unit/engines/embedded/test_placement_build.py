"""Tables obey the rule of domains, are balanced, deterministic, and move little."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded import placement_cases as cases

from holdfast import errors
from holdfast.engines.embedded import placement
from holdfast.model import topology

protections = st.sampled_from(cases.PROTECTIONS)
REPLICAS_3 = topology.replicas(3)
ERASURE_4_2 = topology.erasure(4, 2)


def built(
    nodes: topology.Topology,
    protection: topology.Protection,
    groups: int = 256,
    previous: placement.Table | None = None,
) -> placement.Table:
    version = previous.version + 1 if previous else 1
    return placement.build(nodes, protection, groups, previous=previous, version=version)


@settings(deadline=None, max_examples=60)
@given(cases.topologies(), protections)
def test_every_row_obeys_the_rule_or_the_build_is_refused(
    nodes: topology.Topology, protection: topology.Protection
) -> None:
    if not cases.carries(nodes, protection):
        with pytest.raises(errors.PlacementError):
            built(nodes, protection, 32)
        return

    table = built(nodes, protection, 32)

    assert [cases.faults(nodes, protection, row) for row in table.rows] == [[]] * 32


@settings(deadline=None, max_examples=40)
@given(st.data(), cases.topologies(), protections)
def test_a_changed_topology_keeps_the_rule_and_moves_close_to_the_least_possible(
    data: st.DataObject, nodes: topology.Topology, protection: topology.Protection
) -> None:
    after = data.draw(cases.changes(nodes))
    assume(cases.carries(nodes, protection) and cases.carries(after, protection))
    before = built(nodes, protection, 24)

    table = built(after, protection, 24, before)

    assert [cases.faults(after, protection, row) for row in table.rows] == [[]] * 24
    fewest = cases.fewest_moves(after, protection, before.rows, cases.counts(table.rows))
    assert cases.moved(before.rows, table.rows) <= 1.05 * fewest + 1


@settings(deadline=None, max_examples=30)
@given(st.data(), cases.topologies(), protections)
def test_pieces_that_stay_keep_their_position(
    data: st.DataObject, nodes: topology.Topology, protection: topology.Protection
) -> None:
    after = data.draw(cases.changes(nodes))
    assume(cases.carries(nodes, protection) and cases.carries(after, protection))
    before = built(nodes, protection, 32)

    table = built(after, protection, 32, before)

    for old, new in zip(before.rows, table.rows, strict=True):
        for position, number in enumerate(old):
            assert number not in new or new[position] == number


@settings(deadline=None, max_examples=30)
@given(cases.topologies(), protections)
def test_the_same_topology_gives_the_same_table_and_then_nothing_moves(
    nodes: topology.Topology, protection: topology.Protection
) -> None:
    assume(cases.carries(nodes, protection))
    table = built(nodes, protection, 32)

    assert built(topology.Topology(nodes=nodes.nodes[::-1]), protection, 32) == table
    assert built(nodes, protection, 32, table).rows == table.rows


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=10), protections)
def test_every_node_holds_its_clipped_share_rounded_up_or_down(
    terabytes: list[int], protection: topology.Protection
) -> None:
    width = protection.width
    assume(len(terabytes) >= width)
    column = cases.clipped_column(terabytes, width)

    held = cases.counts(built(cases.disks(*terabytes), protection, 64).rows)

    for number, size in enumerate(terabytes, start=1):
        assert abs(held[number] - 64 * min(size, column) / column) < 1.001


@pytest.mark.parametrize("groups", [256, 4096])
@pytest.mark.parametrize("protection", [REPLICAS_3, ERASURE_4_2], ids=str)
@pytest.mark.parametrize("number", [1, 3, 5])
def test_draining_a_mixed_disk_moves_what_it_held(
    protection: topology.Protection, groups: int, number: int
) -> None:
    nodes = cases.disks(*cases.MIXED)
    before = built(nodes, protection, groups)

    after = built(cases.drained(nodes, number), protection, groups, before)

    held = cases.counts(before.rows)[number]
    moves = cases.moved(before.rows, after.rows)
    assert held <= moves <= 1.05 * held
    assert number not in cases.counts(after.rows)


@pytest.mark.parametrize("groups", [256, 4096])
@pytest.mark.parametrize("protection", [REPLICAS_3, ERASURE_4_2], ids=str)
@pytest.mark.parametrize("terabytes", [4, 10, 16])
def test_a_new_disk_gets_its_clipped_share_and_little_else_moves(
    protection: topology.Protection, groups: int, terabytes: int
) -> None:
    before = built(cases.disks(*cases.MIXED), protection, groups)

    after = built(cases.disks(*cases.MIXED, terabytes), protection, groups, before)

    column = cases.clipped_column([*cases.MIXED, terabytes], protection.width)
    share = groups * min(terabytes, column) / column
    moves = cases.moved(before.rows, after.rows)
    assert share - 1 <= moves <= 1.05 * share


@pytest.mark.parametrize("protection", [REPLICAS_3, ERASURE_4_2], ids=str)
@pytest.mark.parametrize("terabytes", [1, 8, 30])
def test_another_weight_moves_only_the_difference(
    protection: topology.Protection, terabytes: int
) -> None:
    nodes = cases.disks(*cases.MIXED)
    before = built(nodes, protection)
    weighed = cases.changed(nodes, 5, weight_bytes=terabytes * cases.TERABYTE)

    after = built(weighed, protection, 256, before)

    holds = cases.counts(after.rows)
    fewest = cases.fewest_moves_alone(weighed, protection.width, before.rows, holds)
    moves = cases.moved(before.rows, after.rows)
    assert moves <= 1.05 * fewest


def test_replacing_a_disk_moves_what_it_held_to_the_new_one() -> None:
    nodes = cases.shelves([2, 2, 2])
    before = built(nodes, ERASURE_4_2)
    replaced = cases.with_node(
        cases.changed(nodes, 4, state=topology.NodeState.REMOVED), cases.node(7, ("shelf1",))
    )

    after = built(replaced, ERASURE_4_2, 256, before)

    assert placement.movement(before, after) == [
        (group, row.index(4), 4, 7) for group, row in enumerate(before.rows)
    ]


@pytest.mark.parametrize("protection", [REPLICAS_3, ERASURE_4_2], ids=str)
def test_growth_disk_by_disk_stays_balanced_and_moves_little(
    protection: topology.Protection,
) -> None:
    nodes = cases.disks(4, 4, 4, 4, 4, 4)
    table = built(nodes, protection)
    for number in range(7, 17):
        nodes = cases.with_node(nodes, cases.node(number, (), 4 + number % 3))
        grown = built(nodes, protection, 256, table)
        share = cases.counts(grown.rows)[number]
        moves = cases.moved(table.rows, grown.rows)

        assert moves <= 1.05 * share
        table = grown

    optimum = placement.usable_bytes(nodes, protection)
    assert placement.table_usable_bytes(nodes, table) >= 0.97 * optimum


def test_a_third_domain_takes_one_replica_of_every_shard() -> None:
    before = built(cases.shelves([3, 3]), REPLICAS_3)
    nodes = cases.shelves([3, 3, 3])

    after = built(nodes, REPLICAS_3, 256, before)

    moves = cases.moved(before.rows, after.rows)
    assert 256 <= moves <= 1.05 * 256
    assert not any(cases.faults(nodes, REPLICAS_3, row) for row in after.rows)


def test_pieces_are_mixed_over_all_pairs_of_nodes() -> None:
    """After a loss every other node helps to rebuild."""
    table = built(cases.disks(*[4] * 12), REPLICAS_3)

    partners = {other for row in table.rows if 1 in row for other in row if other != 1}

    assert partners == set(range(2, 13))


def test_every_position_is_spread_over_the_nodes() -> None:
    """Position 0 is read first, and data positions more often than parity."""
    table = built(cases.disks(*[4] * 8), ERASURE_4_2)

    for position in range(6):
        held = cases.counts([row[position : position + 1] for row in table.rows])
        assert max(held.values()) < 2 * 256 / 8


def test_a_table_of_another_shape_cannot_be_followed() -> None:
    nodes = cases.disks(4, 4, 4)

    with pytest.raises(errors.BugError):
        built(nodes, REPLICAS_3, 256, built(nodes, REPLICAS_3, 128))


def test_a_first_table_of_eight_nodes_feels_instant() -> None:
    nodes = cases.disks(*cases.MIXED)
    built(nodes, ERASURE_4_2, 8)

    began = time.process_time()
    built(nodes, ERASURE_4_2)

    assert time.process_time() - began < 0.2


@pytest.mark.slow
def test_a_thousand_nodes_in_fifty_domains_take_seconds() -> None:
    nodes = cases.store(
        *(cases.node(i, (f"rack{i % 50}",), 4 + i * 7 % 13) for i in range(1, 1001))
    )

    began = time.process_time()
    before = built(nodes, REPLICAS_3, 16_384)
    middle = time.process_time()
    after = built(cases.drained(nodes, 500), REPLICAS_3, 16_384, before)
    ended = time.process_time()

    assert middle - began < 10
    assert ended - middle < 5
    moves, held = cases.moved(before.rows, after.rows), cases.counts(before.rows)[500]
    assert moves == held
    assert placement.table_usable_bytes(nodes, before) >= 0.97 * placement.usable_bytes(
        nodes, REPLICAS_3
    )
