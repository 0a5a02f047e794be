from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.engines.embedded import log_copies, log_file
from holdfast.engines.embedded.log_file import Header, Name
from holdfast.kit import checksum

U64 = st.integers(0, (1 << 64) - 1)
NAME = Name(3, 17, 0xFEED)
HEADER = Header(bytes(range(16)), NAME, b"c" * 32, (1, 2, 3), (1, 3), 2, (16, "ab" * 32, 4096))


@given(U64, U64, U64)
def test_a_name_is_read_as_it_was_written(epoch: int, first: int, nonce: int) -> None:
    name = Name(epoch, first, nonce)

    assert log_file.parse_name(str(name)) == name


@pytest.mark.parametrize("text", ["", "lock", "image-0000000000000001.img", "1-2-3.log",
                                  f"{'g' * 16}-{'0' * 16}-{'0' * 16}.log", f".{NAME}.x", f"{NAME}x"])
def test_other_names_are_no_log_files(text: str) -> None:
    assert log_file.parse_name(text) is None


def test_a_header_is_read_as_it_was_written() -> None:
    data = log_file.pack_header(HEADER)

    assert len(data) == log_file.HEADER_BYTES
    assert log_file.parse_header(data) == HEADER


@pytest.mark.parametrize("offset", [*range(0, 200, 3), 2000, 4063, 4064, 4095])
def test_a_flipped_bit_in_a_header_is_noticed(offset: int) -> None:
    data = bytearray(log_file.pack_header(HEADER))
    data[offset] ^= 0x10

    assert log_file.parse_header(bytes(data)) is None


def test_a_header_of_a_later_format_is_refused() -> None:
    body = bytearray(log_file.pack_header(HEADER)[: -checksum.digest(b"").__len__()])
    body[8] = log_file.MAJOR + 1

    with pytest.raises(errors.RefusedError) as raised:
        log_file.parse_header(bytes(body) + checksum.digest(bytes(body)))

    assert raised.value.code == "format.newer"


@given(st.binary(max_size=300), st.integers(1, 1 << 40), U64)
def test_a_frame_is_read_as_it_was_written(payload: bytes, sequence: int, nonce: int) -> None:
    data, chain = log_file.pack_frame(sequence, b"p" * 32, payload, nonce=nonce)
    path = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    file = path / f"holdfast-frame-{nonce:x}"
    try:
        file.write_bytes(bytes(64) + data)
        with log_copies.reading(file) as descriptor:
            found = log_file.read_frame(descriptor, 64, nonce=nonce)
    finally:
        file.unlink()

    assert len(data) % log_file.ALIGN == 0
    assert found == (sequence, chain, payload, 64 + len(data))


def test_any_flipped_bit_of_a_frame_breaks_the_frame_or_the_chain(tmp_path: Path) -> None:
    previous = b"p" * 32
    data, _ = log_file.pack_frame(5, previous, b"some payload.", nonce=9)
    missed = []
    for position in range(len(data)):
        hurt = bytearray(data)
        hurt[position] ^= 1 << (position % 8)
        (tmp_path / "f").write_bytes(hurt)
        with log_copies.reading(tmp_path / "f") as descriptor:
            found = log_file.read_frame(descriptor, 0, nonce=9)
        if found is not None and log_file.chain_of(5, previous, found.payload) == found.chain:
            missed.append(position)

    assert missed == []


def test_a_frame_of_another_file_is_not_taken_for_one(tmp_path: Path) -> None:
    data, _ = log_file.pack_frame(5, b"p" * 32, b"payload", nonce=1)
    (tmp_path / "f").write_bytes(data)

    with log_copies.reading(tmp_path / "f") as descriptor:
        assert log_file.read_frame(descriptor, 0, nonce=2) is None
        assert not log_file.whole_frame_behind(descriptor, 0, 1, nonce=2)
        assert log_file.whole_frame_behind(descriptor, 0, 1, nonce=1)


def test_a_frame_cut_anywhere_is_no_frame(tmp_path: Path) -> None:
    data, _ = log_file.pack_frame(5, b"p" * 32, b"payload", nonce=1)
    for length in range(len(data)):
        (tmp_path / "f").write_bytes(data[:length])
        with log_copies.reading(tmp_path / "f") as descriptor:
            assert log_file.read_frame(descriptor, 0, nonce=1) is None, length


def test_a_whole_frame_is_found_far_behind_damage(tmp_path: Path) -> None:
    data, _ = log_file.pack_frame(9, b"p" * 32, b"payload", nonce=1)
    (tmp_path / "f").write_bytes(b"x" * ((1 << 20) - 8) + data)

    with log_copies.reading(tmp_path / "f") as descriptor:
        assert log_file.whole_frame_behind(descriptor, 0, 9, nonce=1)
        assert not log_file.whole_frame_behind(descriptor, 0, 10, nonce=1)


def test_files_are_listed_in_the_order_in_which_they_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    names = [Name(2, 9, 1), Name(1, 1, 5), Name(10, 20, 0), Name(2, 30, 0)]
    for text in [*map(str, names), "lock", "probe"]:
        (tmp_path / "log" / text).touch()

    assert log_file.list_names(tmp_path) == sorted(names)
    assert min(names).epoch == 1
    assert max(names).epoch == 10
