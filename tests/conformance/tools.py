"""What the tests of the suite say in one word."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from typing import TypeVar

import pytest

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects

E = TypeVar("E")


def content(size: int, seed: object = 0) -> bytes:
    """`size` bytes that look random and are always the same."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


def read(
    data: api.DataPlane,
    path: str,
    *,
    offset: int = 0,
    length: int | None = None,
    version: str | None = None,
) -> bytes:
    with data.get(path, offset=offset, length=length, version=version) as stream:
        return stream.read()


def paths(data: api.DataPlane, prefix: str, *, recursive: bool = True) -> list[str]:
    return [one.path for one in data.list_objects(prefix, recursive=recursive)]


def contents(data: api.DataPlane, prefix: str) -> dict[str, bytes]:
    return {path: read(data, path) for path in paths(data, prefix)}


def in_listing_order(names: list[str]) -> list[str]:
    return sorted(names, key=objects.components)


@contextlib.contextmanager
def fails(kind: type[errors.HoldfastError], *codes: str) -> Iterator[None]:
    with pytest.raises(kind) as caught:
        yield
    assert not codes or caught.value.code in codes, caught.value.code


def refuses(*codes: str) -> contextlib.AbstractContextManager[None]:
    return fails(errors.RefusedError, *codes)


def finds_nothing(*codes: str) -> contextlib.AbstractContextManager[None]:
    return fails(errors.NotFoundError, *codes)


def offered(engine: api.Engine, protocol: type[E]) -> E | None:
    """The extra; where the engine lacks it, None after asking for it was refused."""
    found = api.extra(engine, protocol)
    if found is None:
        with refuses("engine.no_extra"):
            api.need(engine, protocol)
    return found


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time, and may fail on the way."""

    def __init__(
        self, whole: bytes, *, step: int = 777, fails_at: int | None = None
    ) -> None:
        super().__init__()
        self._rest = memoryview(whole)
        self._step = step
        self._left = fails_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # what CPython gives
        if self._left is not None and self._left <= 0:
            raise OSError(5, "the source broke")
        part = self._rest[: min(self._step, len(buffer))]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        if self._left is not None:
            self._left -= len(part)
        return len(part)


def dribble(whole: bytes, *, fails_at: int | None = None) -> io.BufferedReader:
    return io.BufferedReader(Dribble(whole, fails_at=fails_at), buffer_size=512)
