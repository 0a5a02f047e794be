"""A small log as the first release wrote it: later ones must read it, and tell the same from it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.engines.embedded import catalog_cases

from holdfast.engines.embedded import apply, index, log_copies, log_file, replay

FOLDER = Path(__file__).parents[3] / "golden" / "log"
STORE = bytes(range(16))
STORE_ID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
NAME = log_file.Name(1, 1, 0x0123456789ABCDEF)
MEMBERS = (1, 2, 3)
SEGMENT, OBJECT = 7001, (1 << 62) + 5
PIECES = ["pieces", 5000, b"\x03" * 32, "replicas 3", 9, [1, 2, 3], OBJECT, 0]
RECORDS: list[list[list[object]]] = [
    [["store", STORE_ID, "lab", 256, 2],
     *(["node", number, f"{number:036d}", f"d{number}", f"shelf{number}", 1 << 40, "active", 17]
       for number in MEMBERS),
     ["members", list(MEMBERS), 2]],
    [["dataset", 1, "data", "/data", "replicas 3", "general", None, None]],
    [["folder", 1, [b"kept"]],
     ["put", 1, [b"kept", b"empty"], 0, 18, b"\x00" * 32, None, None]],
    [["segment", SEGMENT, 1, "replicas 3", 9, [1, 2, 3]],
     ["put", 1, [b"small"], 11, 19, b"\x01" * 32, b"\x81\xa1a\xa1b", ["segment", SEGMENT, 0, 75]]],
    [["put", 1, [b"large"], 5000, 20, b"\x02" * 32, None, ["shards", OBJECT, [PIECES]]]],
    [["snapshot", 1, "monday", 21], ["rename", 1, [b"small"], [b"new", "语".encode()]]],
    [["delete", 1, [b"kept", b"empty"]], ["delete", 1, [b"large"]]],
    [["unsnapshot", 1, "monday"], ["seal", SEGMENT]],
]


def golden() -> tuple[bytes, bytes]:
    """(the bytes of the file, the chain behind its last frame)"""
    data = log_file.pack_header(log_file.Header(
        STORE, NAME, log_file.GENESIS, MEMBERS, MEMBERS, 2, (0, "", 0)))
    chain = log_file.GENESIS
    for sequence, records in enumerate(RECORDS, start=1):
        frame, chain = log_file.pack_frame(
            sequence, chain, log_file.pack_records(records), nonce=NAME.nonce)
        data += frame
    return data, chain


def told() -> str:
    """What an index tells that is made from the golden file, as JSON."""
    opened = index.Index(None)
    connection = opened.writer()
    index.prepare(connection)
    applier = apply.Applier(connection)
    copies = log_copies.LogCopies(STORE, {1: FOLDER})
    for frame in copies.frames_after(0, log_file.GENESIS):
        connection.execute("BEGIN")
        applier.sequence = frame.sequence
        for record in log_file.unpack_records(frame.payload):
            applier.apply(record)
        applier.flush()
        replay.set_position(connection, frame.sequence, frame.chain)
        connection.execute("COMMIT")
    found = catalog_cases.dump(connection)
    opened.close()
    return json.dumps(found, indent=1, default=_shown, sort_keys=True, ensure_ascii=False) + "\n"


def _shown(value: object) -> str:
    assert isinstance(value, bytes)
    return value.hex()


def test_the_golden_file_is_what_is_written_today() -> None:
    assert (FOLDER / "log" / str(NAME)).read_bytes() == golden()[0]


def test_the_golden_log_tells_what_it_always_told() -> None:
    assert told() == (FOLDER / "index.json").read_text()


def test_the_golden_log_ends_where_it_always_ended() -> None:
    tail = log_copies.LogCopies(STORE, {1: FOLDER}).tail_of(1, NAME)

    assert tail is not None
    assert (tail.sequence, tail.chain, tail.end) == (len(RECORDS), golden()[1], tail.size)
