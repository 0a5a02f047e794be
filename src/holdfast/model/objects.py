"""Objects, their attributes, shards and changes, as every engine tells of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast import errors
from holdfast.model import notice

SNAPSHOT_FOLDER = ".snapshot"
NAME_BYTES_MAX = 255
PATH_BYTES_MAX = 4096


class ObjectKind(enum.Enum):
    OBJECT = "object"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What is kept beside the bytes. None: not given."""

    modified_ns: int | None = None
    mode: int | None = None
    owner: str | None = None
    group: str | None = None
    acl: str | None = None
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """An object or folder.

    `digest` is `blake3:<hex>` of the content, or `blake3-shards:<hex>` (BLAKE3 over the concatenated
    shard digests) for an object of several shards, or None where the engine keeps none. Equal
    digests mean equal contents; contents cut differently may differ in digest.
    `margin`: how many more node failures its weakest shard survives; None: not known, or a folder.
    """

    path: str
    kind: ObjectKind
    size_bytes: int = 0
    version: str = ""
    modified_ns: int = 0
    digest: str | None = None
    attributes: Attributes = Attributes()
    margin: int | None = None
    warnings: tuple[notice.Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A contiguous piece of an object and where it lies. `nodes[i]` holds piece i; "" for none."""

    number: int
    offset: int
    length: int
    digest: str
    nodes: tuple[str, ...]
    margin: int


class ChangeKind(enum.Enum):
    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two snapshots; `source_path` is the old path of a rename."""

    kind: ChangeKind
    path: str
    source_path: str | None = None


def check_path(path: str) -> str:
    """The path as stored: absolute, no empty, `.` or `..` component, no trailing slash.

    Raises ConfigError for a path that is not absolute or a name that cannot be kept.
    """
    if _is_plain(path):
        return path
    if not path.startswith("/"):
        raise errors.ConfigError(
            "path.not_absolute", "{path} is not an absolute path of the store",
            hint="object paths start with /; holdfast ls / lists the datasets", path=path,
        )
    names = tuple(name for name in path.split("/") if name)
    for name in names:
        _check_name(name, path)
    plain = "/" + "/".join(names)
    if len(plain.encode()) > PATH_BYTES_MAX:
        raise errors.ConfigError(
            "path.too_long", "the path that begins with {path} is longer than {limit} bytes",
            hint="use shorter or fewer folder names", path=plain[:60], limit=PATH_BYTES_MAX,
        )
    return plain


def _is_plain(path: str) -> bool:
    """The quick answer for nearly all paths: nothing in it needs a second look."""
    return (
        path.isascii() and path.isprintable() and 1 < len(path) <= NAME_BYTES_MAX
        and path[0] == "/" and path[-1] != "/" and "//" not in path and "/." not in path
    )


def components(path: str) -> tuple[bytes, ...]:
    """The names of a checked path as bytes: the sort key of listings."""
    return tuple(name.encode() for name in path.split("/") if name)


def parent_of(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder != "/" else f"/{name}"


def _check_name(name: str, path: str) -> None:
    shown = ascii(path)
    if name in (".", ".."):
        raise errors.ConfigError(
            "path.dots", "{path} has a . or .. component",
            hint="write the path without . and ..", path=shown,
        )
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        raise errors.ConfigError(
            "path.not_utf8", "a name in {path} is not valid UTF-8",
            hint="rename the file; find . -print0 | grep -zaxv '.*' lists such names", path=shown,
        ) from None
    if any(byte < 0x20 or byte == 0x7F for byte in raw):
        raise errors.ConfigError(
            "path.control_character", "a name in {path} has a newline or another control character",
            hint="rename the file: such names cannot be listed safely", path=shown,
        )
    if len(raw) > NAME_BYTES_MAX:
        raise errors.ConfigError(
            "path.name_too_long", "a name in {path} is longer than {limit} bytes",
            hint="use a shorter name", path=shown[:120], limit=NAME_BYTES_MAX,
        )
