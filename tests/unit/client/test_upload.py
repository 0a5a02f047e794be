from __future__ import annotations

import threading
from typing import BinaryIO

import pytest

from holdfast.client import upload
from holdfast.model import objects


def info(size: int) -> objects.ObjectInfo:
    return objects.ObjectInfo(path="/x", kind=objects.ObjectKind.OBJECT, size_bytes=size)


def test_chunks_arrive_in_order_and_whole() -> None:
    seen = bytearray()

    def send(source: BinaryIO) -> objects.ObjectInfo:
        while part := source.read(7):
            seen.extend(part)
        return info(len(seen))

    sent = upload.Upload(send)
    for number in range(100):
        sent.write(bytes([number]) * 13)

    assert sent.finish().size_bytes == 1300
    assert bytes(seen) == b"".join(bytes([number]) * 13 for number in range(100))


def test_a_writer_waits_for_a_slow_reader() -> None:
    go = threading.Event()

    def send(source: BinaryIO) -> objects.ObjectInfo:
        go.wait(10)
        return info(len(source.read()))

    sent = upload.Upload(send)

    def write() -> None:
        for _ in range(10):
            sent.write(b"x")

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(0.1)
    waited = writer.is_alive()
    go.set()
    writer.join(10)

    assert waited
    assert sent.finish().size_bytes == 10


def test_the_readers_error_reaches_the_writer() -> None:
    def send(source: BinaryIO) -> objects.ObjectInfo:
        raise ValueError(source.read(1))

    sent = upload.Upload(send)

    with pytest.raises(ValueError, match="x"):
        for _ in range(10):
            sent.write(b"x")


def test_an_aborted_upload_fails_in_the_engine() -> None:
    finished = []

    def send(source: BinaryIO) -> objects.ObjectInfo:
        source.read()
        finished.append(True)
        return info(0)

    sent = upload.Upload(send)
    sent.write(b"x")
    sent.abort()

    assert finished == []
