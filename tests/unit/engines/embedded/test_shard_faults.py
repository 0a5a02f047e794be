"""What breaks while a shard is written or read does not hurt, or is told exactly."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded.shard_nodes import (
    FailingDisk,
    HangingDisk,
    Nodes,
    content,
    location,
    plain_disk,
    reasons,
)

from holdfast import errors
from holdfast.engines.embedded import node, piece, shard_rebuild, shard_writer
from holdfast.model import topology

EC = topology.erasure(4, 2)
COPIES = topology.replicas(3)
BOTH = pytest.mark.parametrize("protection", [EC, COPIES], ids=str)
LARGE = 13_000_000


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path, 8)
    yield made
    for disk in made.disks.values():
        if isinstance(disk, HangingDisk):
            disk.release()


def only(nodes: Nodes, protection: topology.Protection) -> None:
    """No spares."""
    for number in [one for one in nodes.disks if one >= protection.width]:
        del nodes.disks[number]


# --- writing


@BOTH
def test_a_node_that_is_not_mounted_is_replaced(
    nodes: Nodes, protection: topology.Protection
) -> None:
    (nodes.folder(1) / node.SENTINEL).unlink()
    data = content(LARGE)

    where = nodes.put(protection, data)

    assert where.nodes[1] == protection.width
    assert nodes.get(where) == data
    assert not any(name.startswith("n1/") for name in nodes.leftovers())


@BOTH
@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_a_node_that_fails_midway_is_replaced_by_a_rebuilt_spare(
    nodes: Nodes, protection: topology.Protection, after: int, error: int
) -> None:
    nodes.disks[1] = FailingDisk(1, nodes.folder(1), after=after, error=error)
    data = content(LARGE)

    where = nodes.put(protection, data)

    assert -1 not in where.nodes
    assert nodes.get(where) == data
    for position in range(protection.width):
        check_piece(nodes.piece_path(where, position))
    assert not any("tmp" in name for name in nodes.leftovers())


@BOTH
def test_without_a_spare_fewer_pieces_are_told(
    nodes: Nodes, protection: topology.Protection
) -> None:
    only(nodes, protection)
    nodes.disks[1] = FailingDisk(1, nodes.folder(1), after=1, error=errno.EIO)
    data = content(LARGE)

    where = nodes.put(protection, data)

    assert where.nodes == tuple(-1 if at == 1 else at for at in range(protection.width))
    assert nodes.get(where) == data
    assert not any(name.startswith("n1/") for name in nodes.leftovers())


@BOTH
@pytest.mark.parametrize("after", [0, 2, 5])
def test_below_the_quorum_nothing_is_stored(
    nodes: Nodes, protection: topology.Protection, after: int
) -> None:
    only(nodes, protection)
    for number in (0, 2):
        nodes.disks[number] = FailingDisk(
            number, nodes.folder(number), after=after, error=errno.EIO
        )

    with pytest.raises(errors.UnavailableError) as caught:
        nodes.put(protection, content(LARGE))

    assert caught.value.code == "write.too_few_nodes"
    assert caught.value.fields["nodes"] == ("d0", "d2")
    assert nodes.leftovers() == []


@BOTH
@pytest.mark.parametrize("after", [0, 2, 5])
def test_full_nodes_are_told_as_such(
    nodes: Nodes, protection: topology.Protection, after: int
) -> None:
    for number in nodes.disks:
        nodes.disks[number] = FailingDisk(
            number, nodes.folder(number), after=after, error=errno.ENOSPC
        )

    with pytest.raises(errors.RefusedError) as caught:
        nodes.put(protection, content(LARGE))

    assert caught.value.code == "space.full"
    assert nodes.leftovers() == []


def test_a_failed_sync_is_not_tried_again(nodes: Nodes) -> None:
    failing = FailingDisk(2, nodes.folder(2), after=10**6, error=0, sync_fails=True)
    nodes.disks[2] = failing
    data = content(LARGE)

    where = nodes.put(EC, data)

    assert where.nodes[2] == 6
    assert failing.suspect == "node.sync_failed"
    assert failing.writes_after_failure == 0
    assert nodes.get(where) == data


@BOTH
@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_node_that_hangs_is_replaced_after_its_deadline(
    nodes: Nodes, protection: topology.Protection, after: int
) -> None:
    nodes.disks[1] = HangingDisk(1, nodes.folder(1), after=after)
    data = content(LARGE)

    where = nodes.put(protection, data, deadline_s=2.0)

    assert 1 not in where.nodes
    assert nodes.disks[1].suspect == "node.timeout"
    assert nodes.get(where) == data


def test_what_a_hung_node_does_later_is_not_seen(nodes: Nodes) -> None:
    hung = HangingDisk(1, nodes.folder(1), after=3)
    nodes.disks[1] = hung
    nodes.put(EC, content(LARGE), deadline_s=2.0)

    hung.release()
    hung.reinstate()
    for _ in range(4):
        hung.call(os.getpid)

    wait_until_idle(nodes)
    assert not [name for name in nodes.leftovers() if name.startswith("n1/")]


@BOTH
def test_a_source_that_fails_leaves_nothing(nodes: Nodes, protection: topology.Protection) -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if self.tell() > 8_000_000:
                raise ConnectionResetError("injected")
            return super().readinto(buffer)

    writer = shard_writer.ShardWriter(nodes.disks)

    with pytest.raises(ConnectionResetError):
        writer.write(nodes.target(protection), Broken(content(LARGE)), 64 << 20)

    assert nodes.leftovers() == []


@pytest.mark.parametrize("failing_shard", [0, 1, 2, 3])
def test_shards_that_nobody_was_told_of_are_taken_back(nodes: Nodes, failing_shard: int) -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if self.tell() > failing_shard * 1_000_000:
                raise ConnectionResetError("injected")
            return super().readinto(buffer[:500_000])

    writer = shard_writer.ShardWriter(nodes.disks)
    told = []

    with pytest.raises(ConnectionResetError):
        for one in writer.write_all(
            lambda number: nodes.target(EC, number=number), Broken(content(LARGE)), 1_000_000
        ):
            told.append(one)  # noqa: PERF402 - what came before the error is wanted
    for target, written in told:
        writer.discard(written, target)

    assert nodes.leftovers() == []


def test_writing_that_is_left_early_leaves_only_what_was_told(nodes: Nodes) -> None:
    writer = shard_writer.ShardWriter(nodes.disks)
    shards = writer.write_all(
        lambda number: nodes.target(EC, number=number), io.BytesIO(content(LARGE)), 1_000_000
    )

    target, written = next(shards)
    shards.close()  # type: ignore[attr-defined]  # it is a generator
    before = nodes.leftovers()
    writer.discard(written, target)

    assert len(before) == EC.width
    assert nodes.leftovers() == []


def test_a_shard_that_cannot_be_published_takes_back_the_one_after_it(nodes: Nodes) -> None:
    only(nodes, EC)
    for number in (0, 1):
        nodes.disks[number] = FailingDisk(
            number, nodes.folder(number), after=10**6, error=0, sync_fails=True
        )
    writer = shard_writer.ShardWriter(nodes.disks)

    with pytest.raises(errors.UnavailableError):
        list(
            writer.write_all(
                lambda number: nodes.target(EC, number=number), io.BytesIO(content(LARGE)), 5_000_000
            )
        )

    assert nodes.leftovers() == []


def test_a_node_that_nobody_knows_is_replaced(nodes: Nodes) -> None:
    del nodes.disks[3]

    where = nodes.put(EC, b"abc")

    assert where.nodes == (0, 1, 2, 6, 4, 5)


def test_a_spare_that_fails_too_is_replaced_again(nodes: Nodes) -> None:
    nodes.disks[1] = FailingDisk(1, nodes.folder(1), after=2, error=errno.EIO)
    nodes.disks[6] = FailingDisk(6, nodes.folder(6), after=1, error=errno.EIO)
    data = content(LARGE)

    where = nodes.put(EC, data)

    assert where.nodes == (0, 7, 2, 3, 4, 5)
    assert nodes.get(where) == data


def test_a_survivor_that_is_damaged_is_not_used_for_a_spare(nodes: Nodes) -> None:
    class Rotting(node.NodeDisk):
        def _pwritev(self, descriptor: int, views: list[memoryview], offset: int) -> int:
            rotten = bytearray(b"".join(views))
            rotten[-1] ^= 1
            return super()._pwritev(descriptor, [memoryview(rotten)], offset)

    nodes.disks[0] = Rotting(0, "d0", nodes.disks[0].uuid, nodes.folder(0))
    nodes.disks[1] = FailingDisk(1, nodes.folder(1), after=2, error=errno.EIO)
    data = content(LARGE)

    where = nodes.put(EC, data)

    assert 0 not in where.nodes
    assert nodes.get(where) == data


# --- reading


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_flipped_byte_of_a_body_is_found_and_mended(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    nodes = Nodes(tmp_path_factory.mktemp("nodes"), 6)
    whole = content(600_000)
    protection = data.draw(st.sampled_from([EC, COPIES]))
    where = nodes.put(protection, whole)
    body = where.layout.body_bytes
    end = piece.trailer_at(body) + piece.trailer_bytes(body)
    at = data.draw(st.integers(4096, end - 1))
    position = data.draw(st.integers(0, protection.data - 1))

    nodes.flip(where, position, at)

    assert nodes.get(where) == whole
    reason = "piece.checksum" if at < piece.trailer_at(body) else "piece.trailer"
    assert reasons(nodes.damage) == [(position, reason)]


@BOTH
def test_a_missing_piece_is_told_once(nodes: Nodes, protection: topology.Protection) -> None:
    data = content(LARGE)
    where = nodes.put(protection, data)
    nodes.piece_path(where, 0).unlink()

    found = nodes.get(where)

    assert found == data
    assert reasons(nodes.damage) == [(0, "piece.missing")]


def test_a_damaged_block_does_not_condemn_the_rest_of_its_piece(nodes: Nodes) -> None:
    data = content(LARGE)
    where = nodes.put(EC, data)
    for position in (0, 4, 5):
        nodes.flip(where, position, 4096)
    for position in (1, 2):
        nodes.flip(where, position, 4096 + where.layout.body_bytes - 1)

    start = 4 << 20
    found = nodes.get(where, start, len(data) - start)

    assert found == data[start:]
    assert reasons(nodes.damage) == [(1, "piece.checksum"), (2, "piece.checksum")]


@pytest.mark.parametrize("change", [-4096, -1, 1, 4096])
def test_a_piece_of_another_length_is_found(nodes: Nodes, change: int) -> None:
    data = content(LARGE)
    where = nodes.put(EC, data)
    path = nodes.piece_path(where, 2)
    os.truncate(path, path.stat().st_size + change)

    assert nodes.get(where) == data
    assert reasons(nodes.damage) == [(2, "piece.length")]


def test_pieces_that_were_swapped_are_found(nodes: Nodes) -> None:
    data = content(LARGE)
    where = nodes.put(EC, data)
    one, other = (nodes.piece_path(where, at).read_bytes() for at in (0, 1))
    nodes.piece_path(where, 0).write_bytes(other)
    nodes.piece_path(where, 1).write_bytes(one)

    assert nodes.get(where) == data
    assert reasons(nodes.damage) == [(0, "piece.trailer"), (1, "piece.trailer")]


def test_a_block_in_the_place_of_its_neighbour_is_found(nodes: Nodes) -> None:
    data = content(LARGE)
    where = nodes.put(EC, data)
    path = nodes.piece_path(where, 3)
    raw = bytearray(path.read_bytes())
    first, second = slice(4096, 4096 + 65536), slice(4096 + 65536, 4096 + 2 * 65536)
    raw[first], raw[second] = raw[second], raw[first]
    path.write_bytes(raw)

    assert nodes.get(where) == data
    assert reasons(nodes.damage) == [(3, "piece.checksum")]


def test_too_much_damage_is_told_as_damage(nodes: Nodes) -> None:
    where = nodes.put(EC, content(LARGE))
    for position in (0, 1, 2):
        nodes.flip(where, position, 5000)

    with pytest.raises(errors.IntegrityError) as caught:
        nodes.get(where)

    assert caught.value.code == "shard.damaged"
    assert caught.value.fields["failed"] == tuple(f"d{at} (piece.checksum)" for at in (0, 1, 2))


def test_too_many_nodes_away_is_told_as_such(nodes: Nodes) -> None:
    data = content(LARGE)
    where = nodes.put(EC, data)
    away = {number: nodes.disks.pop(number) for number in (0, 1, 2)}

    with pytest.raises(errors.UnavailableError) as caught:
        nodes.get(where)
    nodes.disks.update(away)

    assert caught.value.code == "shard.unavailable"
    assert nodes.get(where) == data


@BOTH
def test_a_hung_node_costs_a_moment_only(nodes: Nodes, protection: topology.Protection) -> None:
    data = content(LARGE)
    where = nodes.put(protection, data)
    hung = HangingDisk(0, nodes.folder(0), after=0)
    nodes.disks[0] = hung

    before_s = hung._clock.monotonic_s()
    found = nodes.get(where)
    took_s = hung._clock.monotonic_s() - before_s

    assert found == data
    assert took_s < 5


def test_what_a_hung_read_brings_later_changes_nothing(nodes: Nodes) -> None:
    data = content(LARGE)
    where = nodes.put(EC, data)
    hung = HangingDisk(0, nodes.folder(0), after=0)
    nodes.disks[0] = hung
    reader = nodes.reader(where)
    parts: list[bytes] = []

    for part in reader.stream(0, LARGE):
        if not parts:
            hung.release()
            hung.call(os.getpid)
        parts.append(bytes(part))
    reader.close()

    assert b"".join(parts) == data


def test_a_node_that_hangs_is_waited_for_when_there_is_no_other_way(nodes: Nodes) -> None:
    data = content(LARGE)
    where = nodes.put(EC, data)
    for position in (1, 2):
        nodes.piece_path(where, position).unlink()
    nodes.disks[0] = HangingDisk(0, nodes.folder(0), after=0)

    with pytest.raises(errors.UnavailableError) as caught:
        reader = nodes.reader(where, deadline_s=1.0)
        reader.read_into(memoryview(bytearray(LARGE)), 0)

    assert "node.timeout" in str(caught.value)
    assert nodes.disks[0].suspect == "node.timeout"


def test_a_piece_that_was_never_stored_is_not_damage(nodes: Nodes) -> None:
    only(nodes, EC)
    del nodes.disks[5]
    data = content(LARGE)
    where = nodes.put(EC, data)

    assert where.nodes[5] == -1
    assert nodes.get(where) == data
    assert not nodes.damage


# --- rebuilding


@BOTH
def test_a_rebuilt_piece_equals_the_lost_one_but_for_its_node(
    nodes: Nodes, protection: topology.Protection
) -> None:
    data = content(LARGE)
    where = nodes.put(protection, data)
    for position in range(protection.width):
        before = nodes.piece_path(where, position).read_bytes()
        nodes.piece_path(where, position).unlink()

        shard_rebuild.rebuild_piece(nodes.disks, where, position, nodes.disks[7])

        moved = dataclasses.replace(
            where, nodes=tuple(7 if at == position else at for at in where.nodes)
        )
        after = nodes.piece_path(moved, position).read_bytes()
        assert after[4096:-4096] == before[4096:-4096]
        assert piece.parse_header(after[:4096]) == dataclasses.replace(
            piece.parse_header(before[:4096]), node_id=nodes.disks[7].uuid_bytes
        )
        nodes.piece_path(where, position).write_bytes(before)


def test_a_piece_is_not_rebuilt_from_damaged_ones(nodes: Nodes) -> None:
    where = nodes.put(EC, content(LARGE))
    for position in (1, 2):
        nodes.flip(where, position, 4096 + where.layout.body_bytes - 1)
    nodes.piece_path(where, 0).unlink()

    with pytest.raises(errors.IntegrityError) as caught:
        nodes.piece_path(where, 3).unlink()
        shard_rebuild.rebuild_piece(nodes.disks, where, 0, nodes.disks[7])

    wait_until_idle(nodes)
    assert caught.value.code == "shard.cannot_rebuild"
    assert not [name for name in nodes.leftovers() if name.startswith("n7/")]


def test_a_target_that_fails_is_told_as_the_node_that_failed(nodes: Nodes) -> None:
    where = nodes.put(EC, content(LARGE))
    disk = FailingDisk(7, nodes.folder(7), after=1, error=errno.ENOSPC)

    with pytest.raises(node.NodeFailed) as caught:
        shard_rebuild.rebuild_piece(nodes.disks, where, 0, disk)

    disk.call(os.getpid)
    assert caught.value.full
    assert caught.value.node == 7


# --- help


def check_piece(path: Path) -> None:
    """Every byte of a piece is as its header and trailer say."""
    raw = path.read_bytes()
    header = piece.parse_header(raw[:4096])
    assert piece.parse_header(raw[-4096:]) == header
    assert len(raw) == piece.file_length(header.body_bytes)
    assert path.name == piece.file_name(header.object_id, header.shard, header.piece)


def wait_until_idle(nodes: Nodes) -> None:
    """Until clearing up that nobody waited for is done."""
    for number, disk in nodes.disks.items():
        fresh = disk if disk.suspect is None else plain_disk(number, disk.root)
        for operation in [fresh.submit(os.getpid) for _ in range(8)]:
            fresh.outcome(operation)


def test_the_location_follows_from_what_was_written(nodes: Nodes) -> None:
    target = nodes.target(EC)
    written = shard_writer.ShardWritten(5, bytes(32), (0, 1, 2, 3, 4, -1))

    assert location(target, written).nodes == (0, 1, 2, 3, 4, -1)
