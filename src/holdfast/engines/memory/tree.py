"""Names and contents: folders that hold immutable objects. Pure; the caller holds the lock.

Walks use a stack of their own: a path may have two thousand components.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from holdfast.kit import checksum
from holdfast.model import objects

MARGIN = 0
NODE = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes cut into shards of one size. `digests` has one for each shard, at least one."""

    data: bytes
    shard_bytes: int
    digests: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        if len(self.digests) == 1:
            return "blake3:" + self.digests[0].hex()
        return "blake3-shards:" + checksum.digest(b"".join(self.digests)).hex()

    def shards(self) -> Iterator[objects.Shard]:
        for number, digest in enumerate(self.digests):
            offset = number * self.shard_bytes
            yield objects.Shard(
                number=number,
                offset=offset,
                length=min(self.shard_bytes, len(self.data) - offset),
                digest="blake3:" + digest.hex(),
                nodes=(NODE,),
                margin=MARGIN,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """Never changes: a put or append makes another one."""

    content: Content
    version: str
    modified_ns: int
    attributes: objects.Attributes


@dataclass(slots=True)
class Folder:
    """Children by name, in no order."""

    modified_ns: int = 0
    children: dict[str, Node] = field(default_factory=dict)


Node = Object | Folder


def cut(data: bytes, shard_bytes: int) -> Content:
    view = memoryview(data)
    digests = tuple(
        checksum.digest(view[at : at + shard_bytes])
        for at in range(0, max(len(data), 1), shard_bytes)
    )
    return Content(data=data, shard_bytes=shard_bytes, digests=digests)


def find(top: Node, names: Sequence[str]) -> Node | None:
    node: Node | None = top
    for name in names:
        if not isinstance(node, Folder):
            return None
        node = node.children.get(name)
    return node


def object_above(top: Folder, names: Sequence[str]) -> bool:
    """Whether an object stands where `names` needs a folder above its last name."""
    node: Node = top
    for name in names[:-1]:
        if not isinstance(node, Folder):
            return True
        child = node.children.get(name)
        if child is None:
            return False
        node = child
    return not isinstance(node, Folder)


def make_folders(top: Folder, names: Sequence[str], now_ns: int) -> Folder:
    """The folder at `names`, made with its parents where it is not there; no object is in the way."""
    folder = top
    for name in names:
        child = folder.children.setdefault(name, Folder(now_ns))
        assert isinstance(child, Folder)
        folder = child
    return folder


def ordered(folder: Folder) -> list[tuple[str, Node]]:
    """Children in the order of their names as bytes, which for UTF-8 is the order of characters."""
    return sorted(folder.children.items(), key=lambda entry: entry[0])


def walk(
    top: Node, path: str, lock: contextlib.AbstractContextManager[object]
) -> Iterator[tuple[str, Node]]:
    """Every node from `top`, parents before children, in listing order.

    Lazy: a folder is read, under the lock, when the walk comes to it.
    """
    pending: list[tuple[str, Node]] = [(path, top)]
    while pending:
        where, node = pending.pop()
        yield where, node
        if isinstance(node, Folder):
            with lock:
                entries = ordered(node)
            pending.extend((objects.join(where, name), child) for name, child in reversed(entries))


def objects_of(top: Node, path: str) -> dict[str, Object]:
    """Every object by its path. For a tree that nobody changes meanwhile."""
    every = walk(top, path, contextlib.nullcontext())
    return {where: node for where, node in every if isinstance(node, Object)}


def size_bytes(top: Node) -> int:
    return sum(len(one.content.data) for one in objects_of(top, "/").values())


def copy(top: Folder) -> Folder:
    """The same names with folders of their own; objects are immutable, thus shared."""
    twin = Folder(top.modified_ns)
    pending = [(top, twin)]
    while pending:
        source, target = pending.pop()
        for name, child in source.children.items():
            if isinstance(child, Folder):
                folder = Folder(child.modified_ns)
                target.children[name] = folder
                pending.append((child, folder))
            else:
                target.children[name] = child
    return twin


def info(path: str, node: Node) -> objects.ObjectInfo:
    if isinstance(node, Folder):
        return objects.ObjectInfo(
            path=path, kind=objects.ObjectKind.FOLDER, modified_ns=node.modified_ns
        )
    return objects.ObjectInfo(
        path=path,
        kind=objects.ObjectKind.OBJECT,
        size_bytes=len(node.content.data),
        version=node.version,
        modified_ns=node.modified_ns,
        digest=node.content.digest,
        attributes=node.attributes,
        margin=MARGIN,
    )


def changes(before: Folder, after: Folder, path: str) -> Iterator[objects.Change]:
    """What makes the objects of `before` those of `after`; an object is known by its version."""
    old, new = objects_of(before, path), objects_of(after, path)
    gone = {one.version: where for where, one in old.items() if where not in new}
    for where, one in new.items():
        if where not in old:
            source = gone.pop(one.version, None)
            kind = objects.ChangeKind.CREATED if source is None else objects.ChangeKind.RENAMED
            yield objects.Change(kind=kind, path=where, source_path=source)
        elif old[where].version != one.version:
            yield objects.Change(kind=objects.ChangeKind.MODIFIED, path=where)
    for where in gone.values():
        yield objects.Change(kind=objects.ChangeKind.DELETED, path=where)
