"""Which group a shard belongs to, how a table is stored, and what topologies are refused."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engines.embedded import placement_cases as cases

from holdfast import errors
from holdfast.engines.embedded import placement
from holdfast.model import topology

GOLDEN_GROUPS = {
    (1, 0, 256): 17,
    (1, 1, 256): 166,
    (2**63 - 1, 0, 256): 42,
    (2**63 - 1, 4095, 4096): 3438,
    (0x0123_4567_89AB_CDEF, 7, 4096): 3955,
}
GOLDEN_TABLE = bytes.fromhex(
    "48465054 0100 01 02 01 000000 0700000000000000 02000000"  # HFPT, format 1, erasure 2+1
    "0100 0200 2c01  ffff 0400 0100"
)
TABLE = placement.Table(
    protection=topology.erasure(2, 1), version=7, groups=2, rows=((1, 2, 300), (65535, 4, 1))
)


@pytest.mark.parametrize("shard", GOLDEN_GROUPS, ids=str)
def test_a_shard_stays_in_its_group_for_good(shard: tuple[int, int, int]) -> None:
    assert placement.group_of(*shard) == GOLDEN_GROUPS[shard]


def test_shards_spread_over_all_groups_evenly() -> None:
    groups = Counter(placement.group_of(12345, shard, 256) for shard in range(25_600))

    assert set(groups) == set(range(256))
    assert max(groups.values()) < 160


@pytest.mark.parametrize(("nodes", "groups"), [(1, 256), (16, 256), (17, 4096), (1000, 4096)])
def test_the_number_of_groups_follows_the_size_of_the_store(nodes: int, groups: int) -> None:
    assert placement.group_count(nodes) == groups


def test_a_table_is_stored_as_it_always_was() -> None:
    assert TABLE.to_bytes() == GOLDEN_TABLE
    assert placement.Table.from_bytes(GOLDEN_TABLE) == TABLE


@given(st.sampled_from(cases.PROTECTIONS), st.integers(0, 2**64 - 1), st.data())
def test_a_stored_table_comes_back_equal(
    protection: topology.Protection, version: int, data: st.DataObject
) -> None:
    row = st.tuples(*[st.integers(0, 65535)] * protection.width)
    rows = tuple(data.draw(st.lists(row, max_size=5)))
    table = placement.Table(protection=protection, version=version, groups=len(rows), rows=rows)

    assert placement.Table.from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        GOLDEN_TABLE[:23],
        GOLDEN_TABLE[:-1],
        GOLDEN_TABLE + b"\0\0",
        b"XFPT" + GOLDEN_TABLE[4:],
        GOLDEN_TABLE[:6] + b"\2" + GOLDEN_TABLE[7:],
        GOLDEN_TABLE[:7] + b"\0" + GOLDEN_TABLE[8:],
        GOLDEN_TABLE[:8] + b"\xff" + GOLDEN_TABLE[9:],
    ],
    ids=["empty", "header", "short", "long", "magic", "scheme", "data", "parity"],
)
def test_a_damaged_table_is_not_read(damaged: bytes) -> None:
    with pytest.raises(errors.IntegrityError) as caught:
        placement.Table.from_bytes(damaged)

    assert caught.value.code == "placement.table_damaged"


def test_a_table_of_a_later_format_is_refused_with_the_way_out() -> None:
    later = GOLDEN_TABLE[:4] + b"\2\0" + GOLDEN_TABLE[6:]

    with pytest.raises(errors.RefusedError) as caught:
        placement.Table.from_bytes(later)

    assert caught.value.code == "placement.table_format"
    assert caught.value.fields["format"] == 2
    assert "release" in caught.value.hint


def test_movement_names_every_position_that_changes() -> None:
    after = placement.Table(
        protection=TABLE.protection, version=8, groups=2, rows=((1, 9, 300), (65535, 4, 2))
    )

    assert placement.movement(TABLE, after) == [(0, 1, 2, 9), (1, 2, 1, 2)]
    assert placement.movement(TABLE, TABLE) == []


def test_too_few_nodes_are_refused_with_both_numbers_and_a_way_out() -> None:
    with pytest.raises(errors.PlacementError) as caught:
        placement.check(cases.disks(4, 4), topology.replicas(3))

    assert caught.value.code == "placement.too_few_nodes"
    assert (caught.value.fields["wanted"], caught.value.fields["available"]) == (3, 2)
    assert str(caught.value) == "replicas 3 needs 3 nodes, and 2 can take data"
    assert "replicas 2" in errors.fill(caught.value.hint, caught.value.fields)


def test_nodes_that_take_no_data_do_not_count() -> None:
    nodes = cases.store(
        cases.node(1), cases.node(2), cases.node(3, active=False), cases.node(4, terabytes=0)
    )

    with pytest.raises(errors.PlacementError) as caught:
        placement.check(nodes, topology.replicas(3))

    assert caught.value.fields["available"] == 2


def test_two_domains_cannot_carry_erasure_that_survives_one_of_them() -> None:
    with pytest.raises(errors.PlacementError) as caught:
        placement.check(cases.shelves([3, 3]), topology.erasure(4, 2))

    assert caught.value.code == "placement.too_few_domains"
    assert {name: caught.value.fields[name] for name in ("wanted", "available", "limit")} == {
        "wanted": 6,
        "available": 4,
        "limit": 2,
    }
    assert caught.value.fields["domains"] == 2
    assert "engine.nodes" in caught.value.hint


@pytest.mark.parametrize(
    ("nodes", "protection"),
    [
        (cases.shelves([2, 2, 2]), topology.erasure(4, 2)),
        (cases.shelves([2, 1]), topology.replicas(3)),
        (cases.disks(1), topology.replicas(1)),
        (cases.disks(4, 4, 4), topology.erasure(2, 1)),
        (cases.shelves([3, 3]), topology.erasure(3, 3)),
    ],
    ids=["4+2 on 3x2", "replicas 3 on 2 domains", "one node", "2+1 on 3", "3+3 on 2x3"],
)
def test_what_the_domains_can_carry_is_accepted(
    nodes: topology.Topology, protection: topology.Protection
) -> None:
    placement.check(nodes, protection)


@given(cases.topologies(), st.sampled_from(cases.PROTECTIONS))
def test_check_accepts_exactly_what_the_rule_allows(
    nodes: topology.Topology, protection: topology.Protection
) -> None:
    try:
        placement.check(nodes, protection)
        accepted = True
    except errors.PlacementError:
        accepted = False

    assert accepted == cases.carries(nodes, protection)


def test_replicas_that_must_share_a_domain_are_warned_of() -> None:
    [warning] = placement.warnings(cases.shelves([2, 2]), topology.replicas(3))

    assert warning.code == "placement.shared_domains"
    assert str(warning).startswith("replicas 3 in 2 domains")


def test_protection_that_only_inner_domains_carry_is_warned_of() -> None:
    hosts = [("rack1", f"h{i}") for i in range(3)] + [("rack2", f"h{i}") for i in range(3)]
    nodes = cases.store(*(cases.node(i + 1, key) for i, key in enumerate(hosts)))

    [warning] = placement.warnings(nodes, topology.erasure(4, 2))

    assert warning.code == "placement.inner_domains"
    assert "2 outer domains" in str(warning)


@pytest.mark.parametrize(
    "nodes", [cases.disks(4, 4, 4), cases.shelves([1, 1, 5]), cases.disks(4)], ids=str
)
def test_no_warning_without_a_reason(nodes: topology.Topology) -> None:
    assert placement.warnings(nodes, topology.replicas(min(3, len(nodes.nodes)))) == ()


@pytest.mark.parametrize(
    ("nodes", "failures", "members"),
    [
        (cases.disks(4, 4, 4, 4, 4, 4), 2, (1, 2, 3, 4, 5)),
        (cases.disks(4, 4), 2, (1, 2)),
        (cases.shelves([4, 1, 1]), 1, (1, 5, 6)),
        (cases.shelves([3, 3, 2]), 2, (1, 2, 4, 5, 7)),
        (cases.shelves([6]), 0, (1,)),
    ],
    ids=["six alone", "two", "one of each", "even", "no failures"],
)
def test_the_commit_log_lives_on_enough_nodes_over_all_domains(
    nodes: topology.Topology, failures: int, members: tuple[int, ...]
) -> None:
    assert placement.log_members(nodes, failures) == members


@given(cases.topologies(), st.integers(0, 3))
def test_log_members_are_spread_as_evenly_as_the_domains_allow(
    nodes: topology.Topology, failures: int
) -> None:
    members = placement.log_members(nodes, failures)
    active = {one.number: one for one in nodes.active()}

    assert len(members) == min(len(active), 2 * failures + 1)
    sizes = Counter(cases.key_at(one, 0) for one in active.values())
    held = Counter(cases.key_at(active[number], 0) for number in members)
    for domain, size in sizes.items():
        assert held[domain] == size or held[domain] >= max(held.values()) - 1


def test_importing_placement_does_not_load_numpy() -> None:
    script = "import sys, holdfast.engines.embedded.placement; print('numpy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.stdout.strip() == "False"
