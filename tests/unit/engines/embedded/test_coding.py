"""Any k of k+m buffers give back the others, and the parity is the one fixed in the format."""

from __future__ import annotations

import itertools
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded.shard_nodes import content

from holdfast import errors
from holdfast.engines.embedded import coding
from holdfast.kit import checksum

# BLAKE3 over the parity buffers, one after the other, of k buffers of 4 KiB that together are
# content(k * 4096). Never change these: pieces on disk depend on them.
GOLDEN_PARITY = {
    (1, 2): "d4e8087b349f17a79a02776f9dc5647e9ae411516c9f6b5e81c8e36871d7ab77",
    (2, 1): "b677f39ea034c033126d5046c3c4b1694c0f5886a1f85f0c3255cb51c34ad250",
    (4, 2): "87026d99e2a26c61a339097e2987899375c109290609c5e47e0cffb5450794ff",
    (10, 4): "5d07caf35116e231d57bef3f826b47020754a9a336bc5865432e95e73aa222dd",
    (60, 4): "e8f74bc4f10f392a374c06c54a27cf4024bb4e6e832b4b00acd027f4b77ebd9e",
}


def buffers_of(data: bytes, k: int) -> list[bytes]:
    size = len(data) // k
    return [data[number * size : (number + 1) * size] for number in range(k)]


def code_word(k: int, m: int, size: int, seed: int = 1) -> list[bytes]:
    data = buffers_of(content(k * size, seed), k)
    parity = [bytearray(size) for _ in range(m)]
    coding.coder(k, m).encode(data, parity)
    return data + [bytes(one) for one in parity]


@pytest.mark.parametrize(("k", "m"), GOLDEN_PARITY, ids=str)
def test_parity_is_the_one_of_the_format(k: int, m: int) -> None:
    parity = code_word(k, m, 4096)[k:]

    assert checksum.digest(b"".join(parity)).hex() == GOLDEN_PARITY[k, m]


@pytest.mark.parametrize(("k", "m"), [(1, 1), (1, 3), (2, 2), (4, 2), (3, 3), (6, 3)])
def test_every_pattern_of_losses_up_to_m_is_repaired(k: int, m: int) -> None:
    word = code_word(k, m, 512)
    for count in range(1, m + 1):
        for lost in itertools.combinations(range(k + m), count):
            present = {number: word[number] for number in range(k + m) if number not in lost}
            out = [bytearray(512) for _ in lost]

            coding.coder(k, m).reconstruct(present, lost, out)

            assert [bytes(one) for one in out] == [word[number] for number in lost]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_wide_codes_repair_random_losses(data: st.DataObject) -> None:
    k = data.draw(st.integers(1, 60))
    m = data.draw(st.integers(1, 64 - k))
    size = data.draw(st.sampled_from([1, 63, 64, 100, 4096]))
    lost = data.draw(st.sets(st.integers(0, k + m - 1), min_size=1, max_size=m))
    word = code_word(k, m, size, seed=k * 64 + m)
    present = {number: word[number] for number in range(k + m) if number not in lost}
    out = [bytearray(size) for _ in lost]

    coding.coder(k, m).reconstruct(present, sorted(lost), out)

    assert [bytes(one) for one in out] == [word[number] for number in sorted(lost)]


def test_parity_is_the_sum_that_the_format_document_gives() -> None:
    k, m, size = 4, 2, 64
    word = code_word(k, m, size)

    for row in range(k, k + m):
        expected = bytearray(size)
        for column in range(k):
            factor = inverse(row ^ column)
            for at in range(size):
                expected[at] ^= product(factor, word[column][at])
        assert bytes(expected) == word[row]


def product(one: int, other: int) -> int:
    """In the field of 256 elements, by the schoolbook."""
    result = 0
    while other:
        if other & 1:
            result ^= one
        one <<= 1
        if one & 0x100:
            one ^= 0x11D
        other >>= 1
    return result


def inverse(value: int) -> int:
    return next(other for other in range(1, 256) if product(value, other) == 1)


def test_it_equals_pyeclib_after_its_fragment_header() -> None:
    ec_iface = pytest.importorskip("pyeclib.ec_iface")
    driver = ec_iface.ECDriver(k=4, m=2, ec_type="isa_l_rs_cauchy")
    data = content(4 * 4096)

    fragments = [fragment[80:] for fragment in driver.encode(data)]

    assert fragments == code_word(4, 2, 4096)


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda data: memoryview(data)[:]])
def test_any_kind_of_buffer_is_read(kind: type[bytes]) -> None:
    word = code_word(2, 1, 256)
    parity = bytearray(256)

    coding.coder(2, 1).encode([kind(one) for one in word[:2]], [memoryview(parity)[:]])

    assert bytes(parity) == word[2]


def test_a_target_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(BufferError):
        coding.coder(2, 1).encode([b"ab", b"cd"], [b"ef"])


def test_buffers_of_different_lengths_are_refused() -> None:
    parity = bytearray(2)

    with pytest.raises(errors.BugError) as caught:
        coding.coder(2, 1).encode([b"ab", b"c"], [parity])

    assert caught.value.code == "coding.unequal_lengths"
    assert parity == bytes(2)


@pytest.mark.parametrize(("k", "m"), [(0, 2), (60, 5), (2, -1)])
def test_widths_outside_the_format_are_refused(k: int, m: int) -> None:
    with pytest.raises(errors.BugError) as caught:
        coding.Coder(k, m)

    assert caught.value.code == "coding.bad_width"


def test_buffers_are_free_again_after_use() -> None:
    parity = bytearray(4)

    coding.coder(2, 1).encode([b"abcd", b"efgh"], [parity])
    parity.extend(b"more")

    assert len(parity) == 8


def test_threads_share_one_coder() -> None:
    word = code_word(4, 2, 8192)
    coder = coding.Coder(4, 2)
    wrong: list[object] = []

    def repair(seed: int) -> None:
        choice = random.Random(seed)
        for _ in range(50):
            lost = choice.sample(range(6), 2)
            present = {number: word[number] for number in range(6) if number not in lost}
            out = [bytearray(8192), bytearray(8192)]
            coder.reconstruct(present, lost, out)
            wrong.extend(number for number, one in zip(lost, out, strict=True) if one != word[number])

    threads = [threading.Thread(target=repair, args=(seed,)) for seed in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert not wrong
