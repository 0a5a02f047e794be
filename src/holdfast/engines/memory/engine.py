"""The memory engine: the data plane, the control plane, and every extra.

It promises nothing beyond the life of the process, and everything else that the contract says, so
that it serves as the oracle for the other engines.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from holdfast import errors
from holdfast.engines import api, refusals
from holdfast.engines.memory import control, data, store, tree
from holdfast.kit import clock
from holdfast.model import objects, snapshot, spec

METADATA_FORMAT = "holdfast.metadata/1"

CAPABILITIES = api.Capabilities(
    redundancy=api.Doer.NOBODY,
    scrub=api.Doer.NOBODY,
    heal=api.Doer.NOBODY,
    rebalance=api.Doer.NOBODY,
    snapshot=api.Doer.HOLDFAST,
    erasure=api.Doer.NOBODY,
    quota=api.Doer.HOLDFAST,
    append=api.Doer.HOLDFAST,
    durability=api.Durability.MEMORY,
    atomic_rename=True,
    folders=True,
    attributes=frozenset(field.name for field in dataclasses.fields(objects.Attributes)),
)


class MemoryEngine:
    """Holds the datasets of `wanted` from the start. What it holds outlives `close`."""

    def __init__(
        self,
        wanted: spec.Spec,
        *,
        time: clock.Clock = clock.SYSTEM,
        shard_bytes: Mapping[spec.Profile, int] = spec.SHARD_BYTES,
    ) -> None:
        self._store = store.Store(wanted, time, shard_bytes)
        self._data = data.MemoryData(self._store)
        self._control = control.MemoryControl(self._store)

    @property
    def capabilities(self) -> api.Capabilities:
        return CAPABILITIES

    @property
    def data(self) -> api.DataPlane:
        return self._data

    @property
    def control(self) -> api.ControlPlane:
        return self._control

    def open(self) -> None:
        self._store.opened = True

    def close(self) -> None:
        self._store.opened = False

    def create_snapshot(self, dataset: str, name: str) -> snapshot.SnapshotInfo:
        found = self._store.dataset(dataset)
        refusals.check_snapshot_name(name)
        with self._store.lock:
            if name in found.snapshots:
                raise refusals.snapshot_exists(dataset, name)
            folder = objects.join(found.spec.path, objects.SNAPSHOT_FOLDER)
            taken = snapshot.SnapshotInfo(
                name=name,
                dataset=dataset,
                root=objects.join(folder, name),
                created_ns=self._store.time.now_ns(),
            )
            found.snapshots[name] = store.Frozen(info=taken, root=tree.copy(found.root))
            return taken

    def remove_snapshot(self, dataset: str, name: str) -> None:
        found = self._store.dataset(dataset)
        with self._store.lock:
            found.snapshot(name)
            del found.snapshots[name]

    def snapshots(self, dataset: str) -> tuple[snapshot.SnapshotInfo, ...]:
        found = self._store.dataset(dataset)
        with self._store.lock:
            return tuple(one.info for one in found.snapshots.values())

    def changes(self, dataset: str, before: str, after: str | None) -> Iterator[objects.Change]:
        found = self._store.dataset(dataset)
        with self._store.lock:
            old = found.snapshot(before).root
            new = tree.copy(found.root) if after is None else found.snapshot(after).root
        return tree.changes(old, new, found.spec.path)

    def put_many(
        self, items: Iterable[api.PutItem]
    ) -> Iterator[objects.ObjectInfo | errors.HoldfastError]:
        for item in items:
            try:
                yield self._data.put(
                    item.path,
                    item.source,
                    size=item.size,
                    overwrite=item.overwrite,
                    attributes=item.attributes,
                )
            except errors.HoldfastError as error:
                yield error

    def append(
        self, path: str, source: api.Source, *, at_size: int | None = None
    ) -> objects.ObjectInfo:
        return self._data.append(path, source, at_size=at_size)

    def make_folder(self, path: str) -> None:
        self._data.make_folder(path)

    def remove_folder(self, path: str) -> None:
        self._data.remove_folder(path)

    def shards(self, path: str, version: str | None = None) -> Iterator[objects.Shard]:
        return self._data.shards(path, version)

    def export_metadata(self) -> Iterator[Mapping[str, object]]:
        self._store.check_open()
        with self._store.lock:
            held = tuple(
                (one.spec, tree.copy(one.root), tuple(one.snapshots.values()))
                for one in self._store.datasets.values()
            )
        yield {"format": METADATA_FORMAT, "engine": "memory", "cluster": self._store.cluster}
        for wanted, root, frozen in held:
            yield {
                "kind": "dataset",
                "name": wanted.name,
                "path": wanted.path,
                "protection": str(wanted.protection),
                "profile": wanted.profile.value,
                "quota_bytes": wanted.quota_bytes,
            }
            yield from _records(root, wanted.path)
            for one in frozen:
                yield {"kind": "snapshot", **dataclasses.asdict(one.info)}
                yield from _records(one.root, one.info.root)


def _records(root: tree.Folder, path: str) -> Iterator[Mapping[str, object]]:
    """Folders and objects of a tree that nobody changes meanwhile."""
    for where, node in tree.walk(root, path, contextlib.nullcontext()):
        info = tree.info(where, node)
        yield {
            "kind": info.kind.value,
            "path": where,
            "size_bytes": info.size_bytes,
            "version": info.version,
            "modified_ns": info.modified_ns,
            "digest": info.digest,
            "attributes": _attributes(info.attributes),
            "shards": _shards(node),
        }


def _attributes(kept: objects.Attributes) -> Mapping[str, object]:
    """Those that were given; bytes as base64."""
    plain = {
        name: getattr(kept, name)
        for name in ("modified_ns", "mode", "owner", "group", "acl")
        if getattr(kept, name) is not None
    }
    xattrs = {name: base64.b64encode(value).decode() for name, value in kept.xattrs.items()}
    return {**plain, "xattrs": xattrs} if xattrs else plain


def _shards(node: tree.Node) -> list[Mapping[str, object]]:
    if isinstance(node, tree.Folder):
        return []
    return [
        {
            "number": one.number,
            "offset": one.offset,
            "length": one.length,
            "digest": one.digest,
            "nodes": list(one.nodes),
        }
        for one in node.content.shards()
    ]
