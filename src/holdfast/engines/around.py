"""How an engine is put around an engine: every verb, also of the extras, goes through an `Around`.

A wrapper offers exactly the extras of the engine inside: `Wrapper` composes its class from one part
for each of them. What a wrapper does is said once, in its `Around`.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO, Self, TypeVar, cast

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects, observation, outcome, plan, snapshot, spec

T = TypeVar("T")


class Around:
    """What happens around each verb; the verb itself is `work`. As it stands: nothing else."""

    def call(self, verb: str, work: Callable[[], T]) -> T:  # noqa: ARG002 - for those that look at it
        return work()

    def stream(self, verb: str, work: Callable[[], Iterator[T]]) -> Iterator[T]:
        return self.call(verb, work)

    def body(
        self, verb: str, work: Callable[[], AbstractContextManager[BinaryIO]]
    ) -> AbstractContextManager[BinaryIO]:
        """The stream that a get gives."""
        return self.call(verb, work)

    def source(self, verb: str, source: api.Source) -> api.Source:  # noqa: ARG002 - the same
        """What a put reads."""
        return source


class Wrapper:
    """An engine that is another one with something around its verbs."""

    def __new__(cls, inner: api.Engine, *_args: object, **_named: object) -> Self:
        parts = tuple(part for extra, part in PARTS.items() if isinstance(inner, extra))
        return cast(Self, object.__new__(_composed(cls, parts)))

    def __init__(self, inner: api.Engine, around: Around) -> None:
        self.inner = inner
        self.around = around
        self._data = _Data(inner.data, around)
        self._control = _Control(inner.control, around)

    @property
    def capabilities(self) -> api.Capabilities:
        return self.inner.capabilities

    @property
    def data(self) -> api.DataPlane:
        return self._data

    @property
    def control(self) -> api.ControlPlane:
        return self._control

    def open(self) -> None:
        self.inner.open()

    def close(self) -> None:
        self.inner.close()


class Tap(io.RawIOBase):
    """A stream that is read through a function: `around(fill)` calls `fill()` for its bytes."""

    def __init__(self, stream: BinaryIO, around: Callable[[Callable[[], int]], int]) -> None:
        super().__init__()
        self._stream = stream
        self._around = around

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # all that CPython gives
        return self._around(lambda: _fill(self._stream, buffer))


def tapped(stream: BinaryIO, around: Callable[[Callable[[], int]], int]) -> BinaryIO:
    return io.BufferedReader(Tap(stream, around))


class _Data:
    def __init__(self, inner: api.DataPlane, around: Around) -> None:
        self._inner = inner
        self._around = around

    def put(
        self,
        path: str,
        source: api.Source,
        *,
        size: int | None = None,
        overwrite: bool = False,
        attributes: objects.Attributes | None = None,
    ) -> objects.ObjectInfo:
        def work() -> objects.ObjectInfo:
            given = self._around.source("put", source)
            return self._inner.put(
                path, given, size=size, overwrite=overwrite, attributes=attributes
            )

        return self._around.call("put", work)

    def get(
        self, path: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> AbstractContextManager[BinaryIO]:
        return self._around.body(
            "get",
            lambda: self._inner.get(path, offset=offset, length=length, version=version),
        )

    def stat(self, path: str) -> objects.ObjectInfo:
        return self._around.call("stat", lambda: self._inner.stat(path))

    def list_objects(self, prefix: str, *, recursive: bool = True) -> Iterator[objects.ObjectInfo]:
        return self._around.stream(
            "list_objects", lambda: self._inner.list_objects(prefix, recursive=recursive)
        )

    def rename(self, source: str, target: str) -> None:
        self._around.call("rename", lambda: self._inner.rename(source, target))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        self._around.call("delete", lambda: self._inner.delete(path, recursive=recursive))


class _Control:
    def __init__(self, inner: api.ControlPlane, around: Around) -> None:
        self._inner = inner
        self._around = around

    def observe(self, deadline: api.Deadline) -> observation.Observation:
        return self._around.call("observe", lambda: self._inner.observe(deadline))

    def execute(self, step: plan.Step, deadline: api.Deadline) -> outcome.Outcome:
        return self._around.call("execute", lambda: self._inner.execute(step, deadline))

    def plan(self, desired: spec.Spec, observed: observation.Observation) -> plan.Plan:
        return self._around.call("plan", lambda: self._inner.plan(desired, observed))


class _WithSnapshots(Wrapper):
    def create_snapshot(self, dataset: str, name: str) -> snapshot.SnapshotInfo:
        inner = api.need(self.inner, api.Snapshots)
        return self.around.call("create_snapshot", lambda: inner.create_snapshot(dataset, name))

    def remove_snapshot(self, dataset: str, name: str) -> None:
        inner = api.need(self.inner, api.Snapshots)
        self.around.call("remove_snapshot", lambda: inner.remove_snapshot(dataset, name))

    def snapshots(self, dataset: str) -> tuple[snapshot.SnapshotInfo, ...]:
        inner = api.need(self.inner, api.Snapshots)
        return self.around.call("snapshots", lambda: inner.snapshots(dataset))


class _WithChanges(Wrapper):
    def changes(self, dataset: str, before: str, after: str | None) -> Iterator[objects.Change]:
        inner = api.need(self.inner, api.Changes)
        return self.around.stream("changes", lambda: inner.changes(dataset, before, after))


class _WithBatchPut(Wrapper):
    def put_many(
        self, items: Iterable[api.PutItem]
    ) -> Iterator[objects.ObjectInfo | errors.HoldfastError]:
        inner = api.need(self.inner, api.BatchPut)
        given = (
            dataclasses.replace(item, source=self.around.source("put_many", item.source))
            for item in items
        )
        return self.around.stream("put_many", lambda: inner.put_many(given))


class _WithAppend(Wrapper):
    def append(
        self, path: str, source: api.Source, *, at_size: int | None = None
    ) -> objects.ObjectInfo:
        inner = api.need(self.inner, api.Append)

        def work() -> objects.ObjectInfo:
            return inner.append(path, self.around.source("append", source), at_size=at_size)

        return self.around.call("append", work)


class _WithFolders(Wrapper):
    def make_folder(self, path: str) -> None:
        inner = api.need(self.inner, api.Folders)
        self.around.call("make_folder", lambda: inner.make_folder(path))

    def remove_folder(self, path: str) -> None:
        inner = api.need(self.inner, api.Folders)
        self.around.call("remove_folder", lambda: inner.remove_folder(path))


class _WithShards(Wrapper):
    def shards(self, path: str, version: str | None = None) -> Iterator[objects.Shard]:
        inner = api.need(self.inner, api.Shards)
        return self.around.stream("shards", lambda: inner.shards(path, version))


class _WithMetadata(Wrapper):
    def export_metadata(self) -> Iterator[Mapping[str, object]]:
        inner = api.need(self.inner, api.Metadata)
        return self.around.stream("export_metadata", inner.export_metadata)


PARTS: Mapping[type, type[Wrapper]] = {
    api.Snapshots: _WithSnapshots,
    api.Changes: _WithChanges,
    api.BatchPut: _WithBatchPut,
    api.Append: _WithAppend,
    api.Folders: _WithFolders,
    api.Shards: _WithShards,
    api.Metadata: _WithMetadata,
}


_COMPOSED: dict[tuple[type[Wrapper], ...], type[Wrapper]] = {}


def _composed(wrapper: type[Wrapper], parts: tuple[type[Wrapper], ...]) -> type[Wrapper]:
    """The class of a wrapper with these extras, made once."""
    bases = (*parts, wrapper) if wrapper is Wrapper else (wrapper, *parts)
    if bases not in _COMPOSED:
        _COMPOSED[bases] = type(wrapper.__name__, bases, {"__doc__": wrapper.__doc__})
    return _COMPOSED[bases]


def _fill(stream: BinaryIO, buffer: memoryview) -> int:
    readinto = getattr(stream, "readinto", None)
    if readinto is not None:
        return int(readinto(buffer))
    data = stream.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)
