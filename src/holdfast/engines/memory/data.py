"""The data plane of the memory engine.

Sources are read and hashed outside the lock; a change is judged and made under it, at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import BinaryIO

from holdfast.engines import api, refusals
from holdfast.engines.memory import store, tree
from holdfast.model import objects, topology

READ_BYTES = 1 << 20


class MemoryData:
    """The verbs of the data plane, and those extras that are about one path."""

    def __init__(self, held: store.Store) -> None:
        self._store = held

    def put(
        self,
        path: str,
        source: api.Source,
        *,
        size: int | None = None,
        overwrite: bool = False,
        attributes: objects.Attributes | None = None,
    ) -> objects.ObjectInfo:
        path = self._checked(path)
        with self._store.lock:
            shard_bytes = self._place_for_put(path, overwrite=overwrite).dataset.shard_bytes
        content = tree.cut(read_all(source, size), shard_bytes)
        with self._store.lock:
            place = self._place_for_put(path, overwrite=overwrite)
            return self._write(place, content, attributes or objects.Attributes())

    def append(
        self, path: str, source: api.Source, *, at_size: int | None = None
    ) -> objects.ObjectInfo:
        path = self._checked(path)
        with self._store.lock:
            self._check_append(path, at_size)
        added = read_all(source, None)
        with self._store.lock:
            place, found = self._check_append(path, at_size)
            if not added:
                return tree.info(path, found)
            content = tree.cut(found.content.data + added, found.content.shard_bytes)
            attributes = dataclasses.replace(found.attributes, modified_ns=None)
            return self._write(place, content, attributes)

    @contextlib.contextmanager
    def get(
        self, path: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> Iterator[BinaryIO]:
        path = self._checked(path)
        refusals.check_range(offset, length)
        with self._store.lock:
            data = self._store.need_object(path, version).content.data
        end = len(data) if length is None else offset + length
        yield io.BytesIO(data[offset:end])

    def stat(self, path: str) -> objects.ObjectInfo:
        path = self._checked(path)
        with self._store.lock:
            return tree.info(path, self._store.need(path))

    def list_objects(self, prefix: str, *, recursive: bool = True) -> Iterator[objects.ObjectInfo]:
        path = self._checked(prefix)
        with self._store.lock:
            top = self._store.need(path)
            children = tree.ordered(top) if isinstance(top, tree.Folder) else []
        if recursive:
            every = tree.walk(top, path, self._store.lock)
            return (tree.info(at, node) for at, node in every if isinstance(node, tree.Object))
        if isinstance(top, tree.Object):
            return iter((tree.info(path, top),))
        return (tree.info(objects.join(path, name), node) for name, node in children)

    def rename(self, source: str, target: str) -> None:
        source, target = self._checked(source), self._checked(target)
        with self._store.lock:
            old, new = self._store.place(source), self._store.place(target)
            check_not_root(old)
            check_not_root(new)
            if old.dataset is not new.dataset:
                raise refusals.across_datasets(source, target)
            moved = self._store.need(source)
            if source != target:
                self._move(old, new, moved)

    def delete(self, path: str, *, recursive: bool = False) -> None:
        path = self._checked(path)
        with self._store.lock:
            place = self._store.place(path)
            check_not_root(place)
            found = self._store.need(path)
            if isinstance(found, tree.Folder) and found.children and not recursive:
                raise refusals.folder_not_empty(path)
            place.dataset.used_bytes -= tree.size_bytes(found)
            _take_out(place)

    def make_folder(self, path: str) -> None:
        path = self._checked(path)
        with self._store.lock:
            if self._store.is_above_datasets(path):
                return
            place = self._store.place(path)
            if isinstance(place.node, tree.Object):
                raise refusals.exists(path)
            _check_above(place)
            tree.make_folders(place.dataset.root, place.inside, self._store.time.now_ns())

    def remove_folder(self, path: str) -> None:
        path = self._checked(path)
        with self._store.lock:
            place = self._store.place(path)
            check_not_root(place)
            found = self._store.need(path)
            if isinstance(found, tree.Object):
                raise refusals.folder_is_object(path)
            if found.children:
                raise refusals.folder_not_empty(path)
            _take_out(place)

    def shards(self, path: str, version: str | None = None) -> Iterator[objects.Shard]:
        path = self._checked(path)
        with self._store.lock:
            content = self._store.need_object(path, version).content
        return content.shards()

    def _checked(self, path: str) -> str:
        self._store.check_open()
        return objects.check_path(path)

    def _place_for_put(self, path: str, *, overwrite: bool) -> store.Place:
        place = self._store.place(path)
        found = place.node
        if isinstance(found, tree.Folder):
            raise refusals.is_folder(path)
        _check_above(place)
        if found is not None and not overwrite:
            raise refusals.exists(path)
        return place

    def _check_append(self, path: str, at_size: int | None) -> tuple[store.Place, tree.Object]:
        place = self._store.place(path)
        protection = place.dataset.spec.protection
        if protection.scheme is topology.Scheme.ERASURE:
            raise refusals.append_to_erasure(path, place.dataset.spec.name, str(protection))
        found = self._store.need_object(path)
        size = len(found.content.data)
        if at_size is not None and at_size != size:
            raise refusals.append_size_changed(path, size, at_size)
        return place, found

    def _write(
        self, place: store.Place, content: tree.Content, attributes: objects.Attributes
    ) -> objects.ObjectInfo:
        """Put the object in its place. With the lock held, everything but the quota judged."""
        old = place.node
        grown = len(content.data) - (0 if old is None else tree.size_bytes(old))
        _check_quota(place.dataset, grown)
        now_ns = self._store.time.now_ns()
        given_ns = attributes.modified_ns
        new = tree.Object(
            content=content,
            version=self._store.next_version(),
            modified_ns=now_ns if given_ns is None else given_ns,
            attributes=attributes,
        )
        parent = tree.make_folders(place.dataset.root, place.inside[:-1], now_ns)
        parent.children[place.inside[-1]] = new
        place.dataset.used_bytes += grown
        return tree.info(place.path, new)

    def _move(self, old: store.Place, new: store.Place, moved: tree.Node) -> None:
        if new.inside[: len(old.inside)] == old.inside:
            raise refusals.into_itself(old.path, new.path)
        if new.node is not None:
            raise refusals.exists(new.path)
        _check_above(new)
        _take_out(old)
        now_ns = self._store.time.now_ns()
        parent = tree.make_folders(new.dataset.root, new.inside[:-1], now_ns)
        parent.children[new.inside[-1]] = moved


def read_all(source: api.Source, size: int | None) -> bytes:
    """The bytes of a source; with `size` exactly so many, or RefusedError."""
    data = (
        bytes(source)
        if isinstance(source, (bytes, bytearray, memoryview))
        else _read_stream(source, size)
    )
    if size is not None and len(data) != size:
        raise refusals.size_mismatch(size)
    return data


def check_not_root(place: store.Place) -> None:
    if not place.inside:
        raise refusals.dataset_root(place.path, place.dataset.spec.name)


def _read_stream(source: BinaryIO, size: int | None) -> bytes:
    """To the end; or to one byte beyond `size`, which tells that it is longer."""
    parts: list[bytes] = []
    done = 0
    while size is None or done <= size:
        part = source.read(READ_BYTES if size is None else min(READ_BYTES, size + 1 - done))
        if not part:
            break
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def _check_above(place: store.Place) -> None:
    if tree.object_above(place.dataset.root, place.inside):
        raise refusals.parent_is_object(place.path)


def _check_quota(dataset: store.Dataset, grown: int) -> None:
    quota = dataset.spec.quota_bytes
    if quota is not None and grown > 0 and dataset.used_bytes + grown > quota:
        raise refusals.quota_full(dataset.spec.name, dataset.used_bytes, quota, grown)


def _take_out(place: store.Place) -> None:
    parent = tree.find(place.dataset.root, place.inside[:-1])
    assert isinstance(parent, tree.Folder)
    del parent.children[place.inside[-1]]
