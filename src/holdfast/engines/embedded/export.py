"""What others may know of objects: where shards lie, what a put made, and all metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import apsw

from holdfast.engines.embedded import (
    attributes,
    changes,
    listing,
    names,
    reading,
    session,
    snapshots,
)
from holdfast.model import notice, objects, topology

FORMAT = "holdfast.metadata/1"


def shards(
    opened: session.Session, path: str, version: str | None
) -> Iterator[objects.Shard]:
    """In order; raises at once as `get` does."""
    found = opened.catalog.read(lambda one: reading.content(one, path, 0, None, version))
    return iter([
        objects.Shard(
            number=number, offset=one.offset, length=one.length,
            digest="blake3:" + one.digest.hex(),
            nodes=tuple(opened.node_name(node) for node in one.nodes),
            margin=opened.margin(one.protection, one.nodes))
        for number, one in enumerate(found.stretches)
    ])


def info_of_put(
    opened: session.Session, path: str, change: changes.Put
) -> objects.ObjectInfo:
    """The object that a finished put made, without asking the index again."""
    digest, margin = "blake3:", None
    protection = topology.parse_protection(change.dataset.protection)
    content = change.content
    if content is not None and content[0] == "object":
        if len(content[2]) > 1:
            digest = "blake3-shards:"
        margin = min(opened.margin(protection, tuple(part[5])) for part in content[2]
                     if part[0] == "piece")
    elif content is not None:
        margin = opened.segment_margin(content[1])
    wanted = protection.parity
    warnings = () if margin is None or margin >= wanted else (
        notice.Notice(code="put.reduced", message="fewer pieces than wanted could be written"),)
    return objects.ObjectInfo(
        path=path, kind=objects.ObjectKind.OBJECT, size_bytes=change.size,
        version=f"{change.txn:x}", modified_ns=change.modified_ns,
        digest=digest + change.digest.hex() if change.digest else None,
        attributes=attributes.unpack(change.attributes, change.modified_ns), margin=margin,
        warnings=warnings)


def metadata(opened: session.Session, cluster: str) -> Iterator[Mapping[str, object]]:
    yield {"format": FORMAT, "engine": "embedded", "cluster": cluster}
    for row in opened.catalog.read(names.datasets):
        yield {"kind": "dataset", "name": row.name, "path": row.path,
               "protection": row.protection, "profile": row.profile, "quota_bytes": row.quota}
        yield from _tree(opened, row.path, row.root, None)
        for one in snapshots.list_all(opened, row.name):
            yield {"kind": "snapshot", "dataset": row.name, "name": one.name, "root": one.root,
                   "created_ns": one.created_ns}
            yield from _tree(opened, one.root, row.root, snapshots.txn_of(opened, row, one.name))


def _tree(
    opened: session.Session, path: str, folder: int, at: int | None
) -> Iterator[Mapping[str, object]]:
    for below, entry in listing.walk_entries(opened, path, folder, at):
        if entry.kind == names.FOLDER:
            yield {"kind": "folder", "path": below}
            continue
        told = opened.catalog.read(
            lambda one, below=below, entry=entry: _object(opened, one, below, entry, at))
        if told is not None:
            yield told


def _object(
    opened: session.Session, connection: apsw.Connection, path: str, seen: names.Entry,
    at: int | None,
) -> Mapping[str, object] | None:
    """As it is now: it may have been moved since it was listed. None: it is gone."""
    entry = names.child(connection, seen.dir, seen.name, at)
    if entry is None or entry.kind == names.FOLDER:
        return None
    info = listing.info(opened, connection, path, entry)
    given = info.attributes
    return {
        "kind": "object", "path": path, "size_bytes": info.size_bytes, "version": info.version,
        "modified_ns": info.modified_ns, "digest": info.digest,
        "attributes": {
            "mode": given.mode, "owner": given.owner, "group": given.group, "acl": given.acl,
            "xattrs": {name: value.hex() for name, value in given.xattrs.items()}},
        "shards": [
            {"offset": one.offset, "length": one.length, "digest": "blake3:" + one.digest.hex(),
             "nodes": [opened.node_name(node) for node in one.nodes]}
            for one in reading.stretches(connection, entry, 0, entry.size)],
    }
