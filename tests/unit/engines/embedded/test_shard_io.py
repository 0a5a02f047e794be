"""A shard that was written is read back, whole or in part, and what was told is true."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded.shard_nodes import GROUP, Nodes, content, location

from holdfast.engines.embedded import piece, shard_reader, shard_writer
from holdfast.kit import checksum
from holdfast.model import topology

GOLDEN = Path(__file__).parents[3] / "golden" / "piece"
PROTECTIONS = [
    topology.replicas(1),
    topology.replicas(3),
    topology.erasure(1, 2),
    topology.erasure(3, 1),
    topology.erasure(4, 2),
]
CELL = 256 * 1024
SPECIMENS = [("replicas-2", 70_000), ("erasure-4+2", 20_000)]
SIZES = [1, 4095, 4096, 4097, 300_000, 4 * CELL - 1, 4 * CELL, 4 * CELL + 1, 9_000_001]


@pytest.fixture
def nodes(tmp_path: Path) -> Nodes:
    return Nodes(tmp_path, 6)


@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_a_shard_comes_back_as_it_was(
    nodes: Nodes, protection: topology.Protection, size: int
) -> None:
    data = content(size)

    where = nodes.put(protection, data)

    assert nodes.get(where) == data
    assert (where.length, where.digest) == (size, checksum.digest(data))
    assert where.nodes == tuple(range(protection.width))
    assert not nodes.damage


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_range_of_any_shard_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    protection = data.draw(st.sampled_from(PROTECTIONS))
    size = data.draw(st.integers(1, 6_000_000))
    offset = data.draw(st.integers(0, size - 1))
    length = data.draw(st.integers(0, size - offset))
    nodes = Nodes(tmp_path_factory.mktemp("nodes"), 6)
    whole = content(size, seed=size)

    where = nodes.put(protection, whole)
    lost = data.draw(st.sets(st.integers(0, protection.width - 1), max_size=protection.parity))
    for position in lost:
        nodes.piece_path(where, position).unlink()

    assert nodes.get(where, offset, length) == whole[offset : offset + length]


@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
def test_a_long_source_is_cut_at_the_limit(nodes: Nodes, protection: topology.Protection) -> None:
    data = content(2_500_000)
    writer = shard_writer.ShardWriter(nodes.disks)
    source = shard_writer.LookaheadSource(io.BytesIO(data))
    parts, ends = [], []

    for number in itertools.count():
        target = nodes.target(protection, number=number)
        written, at_end = writer.write(target, source, 1_000_000)
        assert written is not None
        parts.append(nodes.get(location(target, written)))
        ends.append(at_end)
        if at_end:
            break

    assert parts == [data[:1_000_000], data[1_000_000:2_000_000], data[2_000_000:]]
    assert ends == [False, False, True]


@pytest.mark.parametrize("protection", PROTECTIONS, ids=str)
@pytest.mark.parametrize("size", [0, 1, 999_999, 1_000_000, 1_000_001, 3_500_000])
def test_all_shards_of_a_source_are_written_in_order(
    nodes: Nodes, protection: topology.Protection, size: int
) -> None:
    data = content(size)
    writer = shard_writer.ShardWriter(nodes.disks)

    stored = list(
        writer.write_all(
            lambda number: nodes.target(protection, number=number), io.BytesIO(data), 1_000_000
        )
    )

    assert [target.number for target, _ in stored] == list(range(-(-size // 1_000_000)))
    assert b"".join(nodes.get(location(*one)) for one in stored) == data
    last = [
        piece.parse_header(nodes.piece_path(location(*one), 0).read_bytes()[:4096]).last_shard
        for one in stored
    ]
    assert last == [False] * (len(stored) - 1) + [True] * (len(stored) > 0)


@pytest.mark.parametrize(
    ("size", "end_told"), [(1_000_000, True), (999_999, True), (1_000_001, False)]
)
def test_the_last_shard_says_that_it_is_the_last(nodes: Nodes, size: int, end_told: bool) -> None:
    target = nodes.target(topology.erasure(4, 2))
    source = shard_writer.LookaheadSource(io.BytesIO(content(size)))

    written, at_end = shard_writer.ShardWriter(nodes.disks).write(target, source, 1_000_000)

    assert written is not None
    assert at_end is end_told
    path = nodes.piece_path(location(target, written), 0)
    assert piece.parse_header(path.read_bytes()[:4096]).last_shard is end_told


def test_a_source_at_its_end_stores_nothing(nodes: Nodes) -> None:
    target = nodes.target(topology.erasure(4, 2))

    answer = shard_writer.ShardWriter(nodes.disks).write(target, io.BytesIO(), 1_000_000)

    assert answer == (None, True)
    assert nodes.leftovers() == []


def test_a_source_that_gives_little_at_a_time_is_read_to_its_end(nodes: Nodes) -> None:
    class Trickle(io.BytesIO):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            return super().readinto(buffer[:1000])

    data = content(50_000)
    target = nodes.target(topology.erasure(4, 2))

    written, at_end = shard_writer.ShardWriter(nodes.disks).write(target, Trickle(data), 1 << 20)

    assert written is not None
    assert at_end
    assert nodes.get(location(target, written)) == data


def test_looking_ahead_loses_no_byte() -> None:
    source = shard_writer.LookaheadSource(io.BytesIO(b"abcdef"))
    out = bytearray(6)

    assert not source.at_end()
    assert source.readinto(memoryview(out)[:1]) == 1
    assert not source.at_end()
    assert not source.at_end()
    assert source.readinto(memoryview(out)[1:]) == 5
    assert source.at_end()
    assert source.readinto(memoryview(out)) == 0

    assert out == b"abcdef"


def test_pieces_describe_themselves(nodes: Nodes) -> None:
    data = content(1_000_000)
    where = nodes.put(topology.erasure(4, 2), data)

    for position, number in enumerate(where.nodes):
        raw = nodes.piece_path(where, position).read_bytes()
        header = piece.parse_header(raw[:4096])
        assert header == piece.parse_header(raw[-4096:])
        assert len(raw) == piece.file_length(header.body_bytes)
        assert header.piece == position
        assert header.node_id == nodes.disks[number].uuid_bytes
        assert header.shard_digest == checksum.digest(data)
        assert header.path == "/data/clip.mp4"
        assert (header.epoch, header.sequence, header.dataset) == (3, 9, 1)
        assert where.describes(header)


def test_data_pieces_hold_the_bytes_as_they_are(nodes: Nodes) -> None:
    data = content(4 * CELL)
    where = nodes.put(topology.erasure(4, 2), data)

    raw = nodes.piece_path(where, 1).read_bytes()

    assert raw[4096 : 4096 + CELL] == data[CELL : 2 * CELL]


def test_pieces_are_published_in_the_folder_of_their_group(nodes: Nodes) -> None:
    where = nodes.put(topology.replicas(2), b"abc")

    assert nodes.leftovers() == [
        f"n{number}/pg/{GROUP:04x}/{where.object_id:016x}.000000.{number:02x}" for number in (0, 1)
    ]


def test_discarded_pieces_are_gone(nodes: Nodes) -> None:
    target = nodes.target(topology.erasure(4, 2))
    writer = shard_writer.ShardWriter(nodes.disks)
    written, _ = writer.write(target, io.BytesIO(b"abc"), 1 << 20)
    assert written is not None

    writer.discard(written, target)
    writer.discard(written, target)

    assert nodes.leftovers() == []


def test_a_stream_comes_in_batches(nodes: Nodes) -> None:
    data = content(21_000_000)
    where = nodes.put(topology.erasure(4, 2), data)
    reader = nodes.reader(where)

    parts = [bytes(part) for part in reader.stream(5, 20_000_000)]
    reader.close()

    assert b"".join(parts) == data[5:20_000_005]
    assert max(len(part) for part in parts) == 4 << 20


def test_a_stream_can_be_left_in_the_middle(nodes: Nodes) -> None:
    data = content(21_000_000)
    where = nodes.put(topology.erasure(4, 2), data)
    reader = nodes.reader(where)

    stream = reader.stream(0, len(data))
    first = bytes(next(stream)[:10])
    assert isinstance(stream, Iterator)
    del stream
    again = bytearray(10)
    reader.read_into(memoryview(again), 0)
    reader.close()

    assert first == bytes(again) == data[:10]


def test_a_small_read_opens_one_piece(nodes: Nodes) -> None:
    data = content(8_000_000)
    where = nodes.put(topology.erasure(4, 2), data)
    for position in (0, 2, 3, 4, 5):
        nodes.piece_path(where, position).unlink()

    found = nodes.get(where, CELL + 7, 1000)

    assert found == data[CELL + 7 : CELL + 1007]
    assert not nodes.damage


@pytest.mark.parametrize(("name", "size"), SPECIMENS)
def test_specimens_of_earlier_releases_are_read(tmp_path: Path, name: str, size: int) -> None:
    nodes = Nodes(tmp_path, 6)
    data = content(size)
    protection = topology.parse_protection(name.replace("-", " "))
    for position in range(protection.width):
        folder = nodes.disks[position].group_folder(GROUP)
        specimen = (GOLDEN / name / f"{position:02x}").read_bytes()
        (folder / piece.file_name(7, 0, position)).write_bytes(specimen)
    target = nodes.target(protection)
    where = location(
        target,
        shard_writer.ShardWritten(len(data), checksum.digest(data), tuple(range(protection.width))),
    )

    assert nodes.get(where) == data
    nodes.piece_path(where, 0).unlink()
    assert nodes.get(where) == data


@pytest.mark.parametrize(("name", "size"), SPECIMENS)
def test_this_release_writes_the_specimens_byte_by_byte(tmp_path: Path, name: str, size: int) -> None:
    nodes = Nodes(tmp_path, 6)
    where = nodes.put(topology.parse_protection(name.replace("-", " ")), content(size))

    for position in range(where.protection.width):
        written = nodes.piece_path(where, position).read_bytes()
        assert written == (GOLDEN / name / f"{position:02x}").read_bytes()


def test_readers_in_several_threads_do_not_mix(nodes: Nodes) -> None:
    data = content(9_000_000)
    where = nodes.put(topology.erasure(4, 2), data)

    def read(seed: int) -> bool:
        offset = seed * 100_003
        return nodes.get(where, offset, 5_000_000) == data[offset : offset + 5_000_000]

    with futures.ThreadPoolExecutor(6) as pool:
        assert all(pool.map(read, range(12)))


def test_closed_readers_read_no_more(nodes: Nodes) -> None:
    where = nodes.put(topology.replicas(1), b"abc")
    reader: shard_reader.ShardReader = nodes.reader(where)
    reader.close()

    with pytest.raises(Exception, match="shard"):
        reader.read_into(memoryview(bytearray(3)), 0)
