"""Every byte of a shard lies in exactly one place of its data pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.engines.embedded import shard_layout
from holdfast.model import topology

CELL = shard_layout.CELL_BYTES


@st.composite
def layouts(draw: st.DrawFn) -> shard_layout.ShardLayout:
    """Small cells, so that many stripes are looked at."""
    data = draw(st.integers(1, 6))
    protection = topology.replicas(3) if data == 1 else topology.erasure(data, 2)
    length = draw(st.integers(1, 200_000))
    return shard_layout.ShardLayout(protection, length, 16384)


def place(layout: shard_layout.ShardLayout, offset: int) -> tuple[int, int]:
    """(piece, place in its body) of one byte, found by walking the cells one by one."""
    stripe = body = 0
    while True:
        cell = layout.cell_at(stripe)
        for piece in range(layout.protection.data):
            if offset < cell:
                return piece, body + offset
            offset -= cell
        body += cell
        stripe += 1


@settings(max_examples=300)
@given(layouts(), st.data())
def test_ranges_hold_exactly_the_bytes_asked_for(
    layout: shard_layout.ShardLayout, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, layout.length - 1))
    length = data.draw(st.integers(1, layout.length - offset))

    ranges = {one.piece: one for one in layout.piece_ranges(offset, length)}

    for at in {offset, offset + length // 3, offset + length // 2, offset + length - 1}:
        piece, where = place(layout, at)
        assert ranges[piece].start <= where < ranges[piece].end
    first, last = place(layout, offset), place(layout, offset + length - 1)
    assert ranges[first[0]].start == first[1]
    assert ranges[last[0]].end == last[1] + 1


@given(layouts())
def test_the_body_is_aligned_and_barely_longer_than_its_share(
    layout: shard_layout.ShardLayout,
) -> None:
    share = -(-layout.length // layout.protection.data)

    assert layout.body_bytes % 4096 == 0
    assert share <= layout.body_bytes < share + layout.cell_bytes
    assert sum(layout.cell_at(stripe) for stripe in range(layout.stripes)) == layout.body_bytes


@given(layouts())
def test_the_whole_shard_touches_the_whole_bodies_but_padding(
    layout: shard_layout.ShardLayout,
) -> None:
    ranges = layout.piece_ranges(0, layout.length)

    assert all(one.start == 0 for one in ranges)
    assert ranges[0].end >= layout.body_bytes - 4096 or layout.protection.data > 1


@pytest.mark.parametrize(
    ("length", "body", "last_cell"),
    [
        (1, 4096, 4096),
        (4 * 4096, 4096, 4096),
        (4 * 4096 + 1, 8192, 8192),
        (4 * CELL - 1, CELL, CELL),
        (4 * CELL, CELL, 0),
        (4 * CELL + 1, CELL + 4096, 4096),
        (64 << 20, 16 << 20, 0),
    ],
)
def test_lengths_of_4_plus_2(length: int, body: int, last_cell: int) -> None:
    layout = shard_layout.ShardLayout(topology.erasure(4, 2), length)

    assert (layout.body_bytes, layout.last_cell_bytes) == (body, last_cell)


def test_a_small_range_touches_one_piece_only() -> None:
    layout = shard_layout.ShardLayout(topology.erasure(4, 2), 8 << 20)

    ranges = layout.piece_ranges(CELL + 10, 100)

    assert ranges == (shard_layout.PieceRange(1, 10, 110),)


def test_an_empty_range_touches_nothing() -> None:
    layout = shard_layout.ShardLayout(topology.erasure(4, 2), 8 << 20)

    assert layout.piece_ranges(0, 0) == ()


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_widening_reaches_whole_blocks_within_the_body(start: int, length: int) -> None:
    body = (start + length + 4095) // 4096 * 4096
    part = shard_layout.PieceRange(0, start, start + length)

    wide = shard_layout.whole_blocks(part, body)

    assert wide.start % 65536 == 0
    assert start - 65536 < wide.start <= start
    assert start + length <= wide.end <= body
    assert wide.end == body or wide.end % 65536 == 0
