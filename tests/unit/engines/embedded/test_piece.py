"""The bytes of a piece: what is packed is parsed, and no flipped byte goes unnoticed."""

from __future__ import annotations

import dataclasses
import itertools
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import errors
from holdfast.engines.embedded import piece, shard_layout
from holdfast.kit import checksum
from holdfast.model import topology

IDENTITY = piece.identity(bytes(range(16)), 7, 0, 2)


@st.composite
def headers(draw: st.DrawFn) -> piece.Header:
    number = st.integers(0, 2**64 - 1)
    data = draw(st.integers(1, 60))
    protection = draw(
        st.sampled_from([topology.erasure(data, 4), topology.replicas(min(data, 64))])
    )
    length = draw(st.integers(1, 2**40))
    layout = shard_layout.ShardLayout(protection, length)
    return piece.Header(
        cluster_id=draw(st.binary(min_size=16, max_size=16)),
        node_id=draw(st.binary(min_size=16, max_size=16)),
        dataset=draw(number), object_id=draw(number), epoch=draw(number), sequence=draw(number),
        protection=protection, cell_bytes=layout.cell_bytes,
        shard=draw(st.integers(0, 2**32 - 1)), last_shard=draw(st.booleans()),
        piece=draw(st.integers(0, protection.width - 1)), body_bytes=layout.body_bytes,
        shard_bytes=length, shard_digest=draw(st.binary(min_size=32, max_size=32)),
        path=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=300)),
    )  # fmt: skip


@given(headers())
def test_a_header_comes_back_as_it_was(header: piece.Header) -> None:
    packed = piece.pack_header(header)

    assert len(packed) == 4096
    assert piece.parse_header(packed) == header


@settings(max_examples=30)
@given(headers(), st.integers(0, 4095), st.integers(1, 255))
def test_any_changed_byte_of_a_header_is_found(header: piece.Header, at: int, mask: int) -> None:
    packed = bytearray(piece.pack_header(header))
    packed[at] ^= mask

    with pytest.raises(piece.PieceDamaged) as caught:
        piece.parse_header(packed)

    assert caught.value.reason == "piece.header"


@given(st.binary(max_size=5000))
def test_what_is_not_a_header_is_damage(data: bytes) -> None:
    with pytest.raises(piece.PieceDamaged):
        piece.parse_header(data)


@pytest.mark.parametrize(
    ("major", "features"), [(2, 0), (0, 0), (1, 1), (1, 1 << 31)], ids=str
)
def test_a_newer_format_is_refused_with_what_to_do(major: int, features: int) -> None:
    packed = piece.pack_header(plain_header())[: -checksum.DIGEST_BYTES]
    newer = packed[:8] + struct.pack("<HHI", major, 0, features) + packed[16:]

    with pytest.raises(errors.RefusedError) as caught:
        piece.parse_header(newer + checksum.digest(newer))

    assert caught.value.code == "format.too_new"
    assert "release" in caught.value.hint


def test_a_higher_minor_version_is_read() -> None:
    packed = piece.pack_header(plain_header())[: -checksum.DIGEST_BYTES]
    newer = packed[:8] + struct.pack("<HHI", 1, 9, 0) + packed[16:]

    assert piece.parse_header(newer + checksum.digest(newer)) == plain_header()


def test_a_path_that_does_not_fit_is_cut_between_characters() -> None:
    header = dataclasses.replace(plain_header(), path="/" + "é" * 3000)

    path = piece.parse_header(piece.pack_header(header)).path

    assert header.path.startswith(path)
    assert len(path) > 1900


def test_a_path_that_is_not_unicode_is_kept() -> None:
    header = dataclasses.replace(plain_header(), path="/a\udcff\nb")

    assert piece.parse_header(piece.pack_header(header)).path == "/a\udcff\nb"


@given(st.integers(0, 600))
def test_a_trailer_comes_back_as_it_was(blocks: int) -> None:
    checksums = bytes(number % 251 for number in range(blocks * 16))

    packed = piece.pack_trailer(IDENTITY, checksums)

    assert len(packed) == piece.trailer_bytes(blocks * checksum.BLOCK_BYTES)
    assert len(packed) % 4096 == 0
    assert piece.parse_trailer(packed, IDENTITY, blocks) == checksums


@given(st.integers(0, 4095), st.integers(1, 255))
def test_any_changed_byte_of_a_trailer_is_found(at: int, mask: int) -> None:
    packed = bytearray(piece.pack_trailer(IDENTITY, bytes(160)))
    packed[at] ^= mask

    with pytest.raises(piece.PieceDamaged) as caught:
        piece.parse_trailer(packed, IDENTITY, 10)

    assert caught.value.reason == "piece.trailer"


def test_the_trailer_of_another_piece_is_found() -> None:
    packed = piece.pack_trailer(IDENTITY, bytes(160))

    with pytest.raises(piece.PieceDamaged):
        piece.parse_trailer(packed, piece.identity(bytes(range(16)), 7, 0, 3), 10)


def test_a_truncated_trailer_is_found() -> None:
    packed = piece.pack_trailer(IDENTITY, bytes(160))

    with pytest.raises(piece.PieceDamaged):
        piece.parse_trailer(packed[:-1], IDENTITY, 10)


def test_identities_differ_in_every_field() -> None:
    cluster, other = bytes(16), bytes(15) + b"\1"
    fields = itertools.product((cluster, other), (1, 256), (0, 1), (0, 1))

    identities = {piece.identity(*one) for one in fields}

    assert len(identities) == 16


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 63))
def test_a_file_name_comes_back_as_it_was(object_id: int, shard: int, number: int) -> None:
    name = piece.file_name(object_id, shard, number)

    assert piece.parse_file_name(name) == (object_id, shard, number)


@pytest.mark.parametrize(
    "name",
    ["", "a", "0.0.0", "0000000000000007.000000", "0000000000000007.000000.00.tmp",
     "0000000000000007.000000.0g", "000000000000000A.000000.00", "-000000000000007.000000.00"],
)  # fmt: skip
def test_other_names_are_not_taken_for_pieces(name: str) -> None:
    assert piece.parse_file_name(name) is None


def test_groups_have_folders() -> None:
    assert piece.group_folder(10) == "pg/000a"


@given(st.integers(1, 2**30))
def test_a_piece_is_as_long_as_its_parts(blocks_of_4k: int) -> None:
    body = blocks_of_4k * 4096

    length = piece.file_length(body)

    assert length % 4096 == 0
    assert length == piece.trailer_at(body) + piece.trailer_bytes(body) + 4096


def test_the_format_document_names_the_size_and_magic_of_the_code() -> None:
    document = Path(__file__).parents[4] / "docs" / "format" / "piece.md"

    text = document.read_text()

    assert "HFPIECE" in text
    assert f"| {piece._FIXED.size} |" in text


def plain_header() -> piece.Header:
    layout = shard_layout.ShardLayout(topology.erasure(4, 2), 1_000_000)
    return piece.Header(
        cluster_id=bytes(range(16)), node_id=bytes(16), dataset=1, object_id=7, epoch=3, sequence=9,
        protection=layout.protection, cell_bytes=layout.cell_bytes, shard=0, last_shard=True,
        piece=2, body_bytes=layout.body_bytes, shard_bytes=1_000_000, shard_digest=bytes(32),
        path="/data/clip.mp4",
    )  # fmt: skip
