"""The Python API: the data plane and its extras over one open engine. Thread-safe.

Every refusal is an exception of `holdfast.errors`. Called by user programs, and by the fsspec
filesystem next door.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from holdfast import config, errors
from holdfast.engines import api, registry
from holdfast.model import objects, snapshot, spec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_BYTES = 4 << 20

_numbers = itertools.count(1)


class Store:
    """An open store; `close` it, or use it in a `with` block."""

    def __init__(self, engine: api.Engine, wanted: spec.Spec) -> None:
        """Of an engine that is open already; closing the store closes it."""
        self.engine = engine
        self.spec = wanted
        self._number = next(_numbers)

    def __repr__(self) -> str:
        return f"<holdfast store {self.spec.cluster} of {self.spec.file}, no. {self._number}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.engine.close()

    def put(
        self,
        path: str,
        source: api.Source,
        *,
        size: int | None = None,
        overwrite: bool = False,
        attributes: objects.Attributes | None = None,
    ) -> objects.ObjectInfo:
        """Store bytes, or what an open file yields until its end, as the object `path`.

        It is durable on return, and appears whole or not at all. Without `overwrite` the path must
        be free: RefusedError (`object.exists`).
        """
        return self.engine.data.put(
            path, source, size=size, overwrite=overwrite, attributes=attributes
        )

    def put_many(
        self, items: Iterable[api.PutItem]
    ) -> Iterator[objects.ObjectInfo | errors.HoldfastError]:
        """One answer an item, in order, each given when that item is durable."""
        batches = api.extra(self.engine, api.BatchPut)
        return self._put_each(items) if batches is None else batches.put_many(items)

    def append(
        self, path: str, source: api.Source, *, at_size: int | None = None
    ) -> objects.ObjectInfo:
        """Add to an object, atomically. On erasure: RefusedError (`append.erasure`)."""
        return api.need(self.engine, api.Append).append(path, source, at_size=at_size)

    def get(
        self, path: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """An open file of verified bytes; close it, or use it in a `with` block.

        With `version` (of `stat`) it refuses when the object has changed since: RefusedError
        (`object.changed`), so that two ranged reads never mix two contents.
        """
        opened = self.engine.data.get(path, offset=offset, length=length, version=version)
        return cast(BinaryIO, _Reader(opened))

    def read(
        self, path: str, offset: int = 0, length: int | None = None, *, version: str | None = None
    ) -> bytes:
        """A range of an object, or all of it, in memory."""
        with self.get(path, offset=offset, length=length, version=version) as source:
            return source.read()

    def stat(self, path: str) -> objects.ObjectInfo:
        return self.engine.data.stat(path)

    def exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except errors.NotFoundError:
            return False
        return True

    def list_objects(
        self, prefix: str = "/", *, recursive: bool = True
    ) -> Iterator[objects.ObjectInfo]:
        """The objects under a folder; not `recursive`: its direct children, folders too."""
        return self.engine.data.list_objects(prefix, recursive=recursive)

    def rename(self, source: str, target: str) -> None:
        """Within a dataset. Never overwrites."""
        self.engine.data.rename(source, target)

    def delete(self, path: str, *, recursive: bool = False) -> None:
        self.engine.data.delete(path, recursive=recursive)

    def make_folder(self, path: str) -> None:
        """With its parents; a folder that is there already is fine."""
        api.need(self.engine, api.Folders).make_folder(path)

    def shards(self, path: str, version: str | None = None) -> Iterator[objects.Shard]:
        """Where each contiguous piece of an object lies, so that work can go to the data."""
        return api.need(self.engine, api.Shards).shards(path, version)

    def create_snapshot(self, dataset: str, name: str) -> snapshot.SnapshotInfo:
        """Readable under its `root` from now on."""
        return api.need(self.engine, api.Snapshots).create_snapshot(dataset, name)

    def remove_snapshot(self, dataset: str, name: str) -> None:
        api.need(self.engine, api.Snapshots).remove_snapshot(dataset, name)

    def snapshots(self, dataset: str) -> tuple[snapshot.SnapshotInfo, ...]:
        return api.need(self.engine, api.Snapshots).snapshots(dataset)

    def changes(
        self, dataset: str, before: str, after: str | None = None
    ) -> Iterator[objects.Change]:
        """What happened between two snapshots, or since one."""
        return api.need(self.engine, api.Changes).changes(dataset, before, after)

    def _put_each(
        self, items: Iterable[api.PutItem]
    ) -> Iterator[objects.ObjectInfo | errors.HoldfastError]:
        for item in items:
            try:
                yield self.put(
                    item.path, item.source, size=item.size, overwrite=item.overwrite,
                    attributes=item.attributes,
                )
            except errors.HoldfastError as error:
                yield error


def open_store(
    file: str | None = None, *, state: str | None = None, read_only: bool = False
) -> Store:
    """The store that a user's file describes. Raises ConfigError, NotInitialisedError, ..."""
    wanted = config.read(file, state=state).spec
    engine = registry.open_engine(wanted, read_only=read_only)
    engine.open()
    return Store(engine, wanted)


class _Reader(io.RawIOBase):
    """What an engine's `get` gives, open from the start and closed like any file."""

    def __init__(self, opened: AbstractContextManager[BinaryIO]) -> None:
        self._opened = opened
        self._source = opened.__enter__()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count: int = self._source.readinto(buffer)  # type: ignore[attr-defined]  # the contract says so
        return count

    def readall(self) -> bytes:
        parts = []
        while part := self._source.read(READ_BYTES):
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._opened.__exit__(None, None, None)
