"""Attributes of objects as they are kept in the log and the index: a small msgpack map."""

from __future__ import annotations

import msgpack

from holdfast.model import objects

KEPT = frozenset({"modified_ns", "mode", "owner", "group", "acl", "xattrs"})


def pack(given: objects.Attributes | None) -> bytes | None:
    """None when there is nothing beside the time, which has a column of its own."""
    if given is None:
        return None
    fields: dict[str, object] = {
        name: value
        for name, value in (("m", given.mode), ("o", given.owner), ("g", given.group),
                            ("a", given.acl))
        if value is not None
    }
    if given.xattrs:
        fields["x"] = dict(given.xattrs)
    if given.modified_ns is not None:
        fields["t"] = True
    return bytes(msgpack.packb(fields)) if fields else None


def unpack(data: bytes | None, modified_ns: int) -> objects.Attributes:
    """`modified_ns` is told only where it was given."""
    if data is None:
        return objects.Attributes()
    fields = msgpack.unpackb(data)
    return objects.Attributes(
        modified_ns=modified_ns if fields.get("t") else None, mode=fields.get("m"),
        owner=fields.get("o"), group=fields.get("g"), acl=fields.get("a"),
        xattrs=fields.get("x", {}),
    )
