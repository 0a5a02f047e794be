"""Copies between buffers, and buffers that are used again."""

from __future__ import annotations

import pytest

from holdfast.kit import buffers


@pytest.mark.parametrize("size", [0, 1, 4096, buffers.COPY_FREELY_BYTES, (1 << 20) + 3])
def test_a_copy_is_whole_and_stays_within_its_bounds(size: int) -> None:
    source = bytearray(range(256)) * (size // 256 + 1)
    target = bytearray(size + 2)

    buffers.copy(memoryview(target)[1 : size + 1], memoryview(source)[:size])

    assert target == b"\0" + source[:size] + b"\0"


def test_a_copy_from_bytes_that_cannot_be_written_works() -> None:
    source = bytes(buffers.COPY_FREELY_BYTES)
    target = bytearray(b"x" * len(source))

    buffers.copy(memoryview(target), memoryview(source))

    assert target == source


def test_a_buffer_that_was_given_back_is_lent_again() -> None:
    pool = buffers.BufferPool(5000)

    with pool.lend() as first:
        assert len(first) == 8192
        first[:2] = b"ab"
    with pool.lend() as second:
        assert bytes(second[:2]) == b"ab"
