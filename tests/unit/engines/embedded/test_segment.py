"""The segment format: any change of a byte is noticed, also when the bytes are another record's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded import small_store

from holdfast import errors
from holdfast.engines.embedded import engine, segment
from holdfast.kit import checksum

GOLDEN = Path(__file__).parents[3] / "golden" / "segment" / "0123456789abcdef.seg"
STORE = bytes(range(16))
NODE = bytes(range(16, 32))
NUMBER = 0x0123456789ABCDEF
SPECIMENS = [
    (b"/data/a.txt", b"hello, segment\n"),
    (b"/data/\xe6\x97\xa5\xe6\x9c\xac/\xe8\xaa\x9e", bytes(range(256))),
    (b"", b"x"),
    (b"/data/" + b"long/" * 200 + b"name", b"a path of more than 512 bytes"),
]


def build(records: list[tuple[bytes, bytes]]) -> bytes:
    """A whole segment file."""
    data = segment.pack_header(STORE, NUMBER, 3, NODE)
    for path, content in records:
        data += b"".join(segment.pack(STORE, NUMBER, len(data), content, path))
    return data


def body_of(data: bytes) -> list[segment.Record]:
    return segment.scan(data[segment.HEADER_BYTES :], STORE, NUMBER, segment.HEADER_BYTES)


def read_one(data: bytes, at: int, size: int) -> bytes | None:
    read = data[at : at + segment.read_bytes(size)]
    if len(read) < (claimed := segment.claimed_bytes(read, size)):
        read = data[at : at + claimed]
    return segment.content_of(read, STORE, NUMBER, at, size)


def test_the_specimen_of_the_first_release_is_read() -> None:
    data = GOLDEN.read_bytes()

    assert segment.check_header(data, STORE, NUMBER)
    assert [(one.path, one.content) for one in body_of(data)] == SPECIMENS


def test_the_specimen_is_what_this_release_writes() -> None:
    assert build(SPECIMENS) == GOLDEN.read_bytes()


records = st.lists(st.tuples(st.binary(max_size=40), st.binary(min_size=1, max_size=80)),
                   min_size=1, max_size=4)


@given(records)
def test_what_was_packed_is_found_by_a_scan_and_read_by_position(
    drawn: list[tuple[bytes, bytes]]
) -> None:
    data = build(drawn)

    found = body_of(data)

    assert [(one.path, one.content) for one in found] == drawn
    assert found[-1].end == len(data)
    for one in found:
        assert read_one(data, one.position, len(one.content)) == one.content


def test_a_flip_of_any_byte_of_a_record_is_noticed() -> None:
    data = build([(b"/data/a", b"content!")])
    size = len(data) - segment.HEADER_BYTES
    assert size % 8 == 0
    assert size > segment.HEAD_BYTES + 8 + 7  # there is padding, too

    for offset in range(segment.HEADER_BYTES, len(data)):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        unnoticed = read_one(bytes(damaged), segment.HEADER_BYTES, 8) or body_of(bytes(damaged))
        assert not unnoticed, offset


def test_a_flip_of_any_byte_of_the_header_is_noticed() -> None:
    data = segment.pack_header(STORE, NUMBER, 3, NODE)
    assert segment.check_header(data, STORE, NUMBER)

    for offset in range(len(data)):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        assert not segment.check_header(bytes(damaged), STORE, NUMBER), offset


@settings(max_examples=50)
@given(records, st.integers(0, 400))
def test_a_torn_tail_ends_the_scan_and_harms_nothing_before_it(
    drawn: list[tuple[bytes, bytes]], cut: int
) -> None:
    data = build(drawn)
    shorter = data[: max(segment.HEADER_BYTES, len(data) - cut)]

    found = body_of(shorter)

    assert [(one.path, one.content) for one in found] == drawn[: len(found)]
    assert len(found) < len(drawn) or cut == 0


def test_a_record_in_the_place_of_another_is_noticed() -> None:
    first, second = ((b"/data/a", b"one of them"), (b"/data/b", b"the other 1"))
    data = build([first, second])
    one, two = body_of(data)
    swapped = (data[: segment.HEADER_BYTES] + data[two.position : two.end]
               + data[one.position : one.end])

    assert read_one(swapped, one.position, len(one.content)) is None
    assert read_one(swapped, two.position, len(two.content)) is None


@pytest.mark.parametrize(("store", "number"), [(NODE, NUMBER), (STORE, NUMBER + 1)],
                         ids=["another store", "another segment"])
def test_a_record_of_elsewhere_is_noticed(store: bytes, number: int) -> None:
    data = build([(b"/data/a", b"content")])
    at = segment.HEADER_BYTES

    assert not segment.check_header(data, store, number)
    assert segment.content_of(data[at:], store, number, at, 7) is None


def test_a_later_format_is_refused_and_not_taken_for_damage() -> None:
    body = bytearray(segment.pack_header(STORE, NUMBER, 3, NODE))
    body[8] = segment.MAJOR + 1
    later = bytes(body[:-32]) + checksum.digest(bytes(body[:-32]))

    with pytest.raises(errors.RefusedError) as caught:
        segment.check_header(later, STORE, NUMBER)

    assert caught.value.code == "format.newer_segment"


# --- on the disks of a store -----------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[engine.EmbeddedEngine]:
    made = small_store.make(folder)
    made.put("/data/a", small_store.content("a", 5000))
    yield made
    made.close()


OFFSETS = {"magic": 0, "size": 5, "path length": 8, "flags": 10, "checksum": 20, "own hash": 33,
           "path length, high": 9, "content": 40, "last of content": 40 + 4999, "path": 40 + 5003}


@pytest.mark.parametrize("offset", list(OFFSETS.values()), ids=list(OFFSETS))
@pytest.mark.parametrize("damaged", [1, 2])
def test_a_flip_is_answered_from_another_copy_and_queued_for_repair(
    store: engine.EmbeddedEngine, folder: Path, offset: int, damaged: int
) -> None:
    position, files = small_store.copies(store, folder, "/data/a")
    for path in files[:damaged]:
        small_store.flip(path, position + offset)

    read = [small_store.read(store, "/data/a") for _ in range(3)]

    assert read == [small_store.content("a", 5000)] * 3
    start = (position // 4096) % 3  # the copy that is asked first
    reported = {(one.piece, one.reason) for one in store.opened().repairs.all()}
    assert reported <= {(piece, "piece.checksum") for piece in range(damaged)}
    assert reported or start >= damaged


def test_damage_on_every_copy_is_an_error_and_never_bytes(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    position, files = small_store.copies(store, folder, "/data/a")
    for path in files:
        small_store.flip(path, position + 100)

    with pytest.raises(errors.IntegrityError) as caught:
        small_store.read(store, "/data/a")

    assert caught.value.code == "read.damaged"
    assert {one.piece for one in store.opened().repairs.all()} == {0, 1, 2}


def test_a_damaged_file_header_is_queued_for_repair_and_the_content_served(
    store: engine.EmbeddedEngine, folder: Path
) -> None:
    position, files = small_store.copies(store, folder, "/data/a")
    for path in files:
        small_store.flip(path, 20)

    assert small_store.read(store, "/data/a") == small_store.content("a", 5000)

    asked_first = (position // 4096) % 3
    assert [(one.piece, one.reason) for one in store.opened().repairs.all()] == [
        (asked_first, "piece.checksum")]


def test_a_misdirected_write_is_noticed(store: engine.EmbeddedEngine, folder: Path) -> None:
    """Two records of one size, swapped on one copy: each is whole, and in the wrong place."""
    store.put("/data/b", small_store.content("b", 5000))
    first, files = small_store.copies(store, folder, "/data/a")
    second, _ = small_store.copies(store, folder, "/data/b")
    length = second - first
    for path in files[:2]:
        data = bytearray(path.read_bytes())
        data[first : first + length], data[second : second + length] = (
            data[second : second + length], data[first : first + length])
        path.write_bytes(data)

    assert small_store.read(store, "/data/a") == small_store.content("a", 5000)
    assert small_store.read(store, "/data/b") == small_store.content("b", 5000)
    assert {one.reason for one in store.opened().repairs.all()} == {"piece.checksum"}


def test_a_missing_copy_is_queued_for_repair(store: engine.EmbeddedEngine, folder: Path) -> None:
    position, files = small_store.copies(store, folder, "/data/a")
    files[(position // 4096) % 3].unlink()

    assert small_store.read(store, "/data/a") == small_store.content("a", 5000)
    assert [one.reason for one in store.opened().repairs.all()] == ["piece.missing"]


# --- one after the other ---------------------------------------------------------------------


def test_processes_that_put_one_object_each_share_a_segment(folder: Path) -> None:
    small_store.make(folder).close()

    for number in range(20):
        store = small_store.reopen(folder)
        store.put(f"/data/{number}", small_store.content(number, 500))
        store.close()

    store = small_store.reopen(folder)
    assert len(small_store.segment_files(folder)) == 3  # one segment, three copies
    for number in range(20):
        assert small_store.read(store, f"/data/{number}") == small_store.content(number, 500)
    store.close()


@pytest.mark.parametrize("damage", ["longer", "one longer", "shorter", "header"])
def test_a_segment_whose_copies_do_not_end_alike_is_sealed(folder: Path, damage: str) -> None:
    store = small_store.make(folder)
    store.put("/data/a", small_store.content("a", 500))
    store.close()
    files = small_store.segment_files(folder)
    for path in files if damage == "longer" else files[:1]:
        if damage == "header":
            small_store.flip(path, 3000)
        else:
            data = path.read_bytes()
            path.write_bytes(data + b"torn" if "longer" in damage else data[:-8])

    store = small_store.reopen(folder)
    store.put("/data/b", small_store.content("b", 500))

    assert sorted(small_store.sealed(store).values()) == [False, True]
    assert small_store.read(store, "/data/a") == small_store.content("a", 500)
    assert small_store.read(store, "/data/b") == small_store.content("b", 500)
    store.close()


def test_a_segment_that_another_process_writes_is_not_adopted(folder: Path) -> None:
    first, second = small_store.make(folder), small_store.reopen(folder)
    first.put("/data/a", small_store.content("a", 500))
    second.put("/data/b", small_store.content("b", 500))
    first.put("/data/c", small_store.content("c", 500))

    assert sorted(small_store.sealed(first).values()) == [False, False]
    for name in "abc":
        assert small_store.read(second, f"/data/{name}") == small_store.content(name, 500)
    first.close()
    second.close()
