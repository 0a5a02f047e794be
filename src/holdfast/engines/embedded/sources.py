"""Where the bytes of a put come from: streams that are read ahead, bounded and measured."""

from __future__ import annotations

import io
from typing import Any

from holdfast.engines import api, refusals


def as_stream(source: api.Source) -> Any:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    return source


class Chain:
    """What was read ahead, then the rest of the stream."""

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head = memoryview(head)
        self._stream = stream

    def readinto(self, buffer: memoryview, /) -> int:
        if self._head:
            count = min(len(buffer), len(self._head))
            buffer[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        return read_some(self._stream, buffer)

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: self.readinto(memoryview(data))])


class Exactly:
    """At most `size` bytes and one more, so that a source that is too long is noticed."""

    def __init__(self, source: Any, size: int | None) -> None:
        self._source = source
        self._left = None if size is None else size + 1

    def readinto(self, buffer: memoryview, /) -> int:
        if self._left is not None:
            buffer = buffer[: self._left]
        if not len(buffer):
            return 0
        count = int(self._source.readinto(buffer) or 0)
        if self._left is not None:
            self._left -= count
        return count


def read_some(stream: Any, buffer: memoryview) -> int:
    """`readinto` where the stream has it, else through `read`."""
    readinto = getattr(stream, "readinto", None)
    if readinto is not None:
        return int(readinto(buffer) or 0)
    data = stream.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def read_up_to(stream: Any, limit: int, size: int | None) -> bytes:
    """The first bytes of a stream, at most `limit`."""
    if size is not None:
        limit = min(limit, size + 1)
    chunks: list[bytes] = []
    have = 0
    while have < limit:
        data = stream.read(limit - have)
        if not data:
            break
        chunks.append(bytes(data))
        have += len(data)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_size(have: int, size: int | None) -> None:
    if size is not None and have != size:
        raise refusals.size_mismatch(size)
