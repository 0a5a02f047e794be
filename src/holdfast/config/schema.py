"""The keys of the user's file: their types, what they mean, what may be written.

The one source of every check of a single key, of the JSON Schema, of the reference page and of the
example. The only user of pydantic; `resolve` turns what comes out into dataclasses at once.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic

from holdfast.config import document

NAME_HINT = "use 1 to 64 of A-Z, a-z, 0-9, . _ and -, beginning with a letter or digit"
NAME = f"^{document.WORD}$"
ANY = "*"

# Keys of the whole design that this release does not have.
LATER = frozenset({
    ("repositories",), ("backups",), ("autopilot",), ("notify",), ("console",),
    ("engine", "attach"), ("engine", "deploy"),
})
LATER_KINDS = ("hdfs",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What pydantic does not know of a key.

    `hint` says what may be written (an English template without fields), `kind` and `otherwise`
    are the type and the default in words, `section` is the model of what a group holds, or with
    `many` of what each item of a list or each named group holds.
    """

    hint: str
    kind: str
    example: document.Value = None
    otherwise: str = ""
    unit: str = ""
    section: type[Section] | None = None
    many: bool = False


SizeText = Annotated[str, pydantic.StringConstraints(max_length=40)]
DatasetName = Annotated[str, pydantic.StringConstraints(pattern=NAME)]


class Section(pydantic.BaseModel):
    """A group of keys; one that is not known is a fault, and nothing is converted silently."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


def _about(description: str, **limits: Any) -> Any:
    return pydantic.Field(description=description, **limits)


class Node(Section):
    """A place that stores pieces and fails as one: a disk, or a folder on it."""

    name: Annotated[
        str,
        _about("The node's name, unlike that of any other node. It stays with the data: "
               "a node keeps its name when its path changes.", pattern=NAME),
        Note(kind="name", example="disk1",
             hint=NAME_HINT),
    ]
    path: Annotated[
        str,
        _about("The folder of the node, usually where a disk is mounted. A relative path starts "
               "at the folder of this file. No node may lie inside another.",
               min_length=1, max_length=4096),
        Note(kind="folder", example="/mnt/disk1",
             hint="write the path of a folder, such as /mnt/disk1; ~ is not expanded"),
    ]
    domain: Annotated[
        str | None,
        _about("What the node shares with others that may fail together: a shelf, a host, a rack. "
               "Domains nest from the outside in: rack1/host2. Pieces of one shard are spread "
               "over as many domains as there are.",
               max_length=400, pattern=f"^{document.WORD}(/{document.WORD})*$"),
        Note(kind="names joined by /", example="shelf-a", otherwise="the node stands alone",
             hint="write a name such as shelf-a, or nested ones such as rack1/host2; "
             "put a number in quotes"),
    ] = None
    weight: Annotated[
        SizeText | int | None,
        _about("How much the node is to hold, relative to the others."),
        Note(kind="size", unit="bytes", otherwise="the capacity of its file system",
             example="4 TB", hint="write a size above zero, such as 500 GB, 64 MiB or 2 TiB"),
    ] = None


class Engine(Section):
    """The engine and the nodes that it has."""

    kind: Annotated[
        Literal["embedded"],
        _about("The engine. `embedded` keeps the data on the disks and folders of this machine."),
        Note(kind="word", example="embedded", hint="write embedded"),
    ]
    nodes: Annotated[
        list[Node],
        _about("The nodes of the store. Their order has no meaning.", min_length=1),
        Note(kind="list", section=Node, many=True,
             hint="list at least one node, such as - {{name: disk1, path: /mnt/disk1}}"),
    ]


class Dataset(Section):
    """A part of the tree of objects with a policy of its own."""

    path: Annotated[
        str,
        _about("Where the dataset begins in the tree of objects. No dataset may lie inside "
               "another.", min_length=1, max_length=4096),
        Note(kind="path of the store", example="/videos",
             hint="write a path such as /videos: from /, not / itself, without . and .., "
             "without .snapshot and control characters"),
    ]
    protect: Annotated[
        str,
        _about("What each shard is made into. `replicas R` keeps R copies and survives the loss of "
               "R-1 nodes at R times the space. `erasure K+M` cuts it into K parts and adds M of "
               "parity: it survives the loss of any M nodes at (K+M)/K times the space.",
               max_length=40),
        Note(kind="protection", example="erasure 4+2",
             hint="write replicas R or erasure K+M, such as replicas 3 or erasure 4+2; "
             "K and M are at least 1, K+M and R at most 64"),
    ]
    profile: Annotated[
        Literal["general", "media", "records"],
        _about("What the dataset mostly holds; decides the size of its shards. `media`: large "
               "files that are read from beginning to end. `records`: many small ones."),
        Note(kind="word", example="media", hint="write general, media or records"),
    ] = "general"
    quota: Annotated[
        SizeText | int | None,
        _about("How many bytes the objects of the dataset may have together, before protection. "
               "What would go beyond is refused."),
        Note(kind="size", unit="bytes", otherwise="no limit", example="2 TiB",
             hint="write a size above zero, such as 500 GB, 64 MiB or 2 TiB"),
    ] = None
    min_margin: Annotated[
        int | None,
        _about("How many more node failures a write must survive at the moment when it is "
               "acknowledged. While so many nodes are missing that it could not, writes are "
               "refused.", ge=0, le=63),
        Note(kind="whole number", unit="node failures", example=1,
             otherwise="writes go on with fewer pieces, and say so",
             hint="write a whole number from 0 up to what the protection survives"),
    ] = None


class File(Section):
    """The user's file, holdfast.yaml."""

    cluster: Annotated[
        str,
        _about("The name of the store. It names the state folder, so that one user may have "
               "several stores.", pattern=document.CLUSTER),
        Note(kind="name", example="studio",
             hint="use 1 to 40 of a-z, 0-9 and -; put a number in quotes"),
    ]
    state: Annotated[
        str | None,
        _about("The folder for what holdfast remembers: its index, which can be rebuilt from the "
               "nodes. It may not lie inside a node. A relative path starts at the folder of this "
               "file.", min_length=1, max_length=4096),
        Note(kind="folder", example="/var/lib/holdfast/studio",
             otherwise="a folder in $XDG_STATE_HOME/holdfast; for root in /var/lib/holdfast",
             hint="write the path of a folder, such as /var/lib/holdfast/studio; "
             "~ is not expanded"),
    ] = None
    engine: Annotated[
        Engine,
        _about("What stores the data."),
        Note(kind="group", section=Engine,
             hint="write the keys kind and nodes under engine, indented"),
    ]
    datasets: Annotated[
        dict[DatasetName, Dataset] | None,
        _about("The datasets by their names. Objects can be put under their paths only."),
        Note(kind="group of named groups", section=Dataset, many=True, otherwise="none",
             hint="write each dataset under its name, such as videos: "
             "{{path: /videos, protect: replicas 3}}"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key as people are told of it. `path` has ANY where a name or number stands."""

    path: document.KeyPath
    description: str
    required: bool
    default: document.Value
    note: Note


class Problem(enum.Enum):
    """What is wrong with one key."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    VALUE = "value"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One key that is wrong, by itself."""

    problem: Problem
    path: document.KeyPath


def check(values: dict[str, document.Value]) -> File | tuple[Fault, ...]:
    """The file with its defaults, or every fault of a single key that it has."""
    try:
        return File.model_validate(values)
    except pydantic.ValidationError as error:
        return tuple(
            _fault(str(one["type"]), tuple(one["loc"]))
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        )


@functools.cache
def every_key() -> tuple[Key, ...]:
    """In the order of the file, each group before its keys."""
    return tuple(_keys(File, ()))


def key_at(path: document.KeyPath) -> Key | None:
    """The key that a path of a file is an instance of."""
    return next((key for key in every_key() if _matches(key.path, path)), None)


def hints() -> tuple[str, ...]:
    """The templates that errors take from here, for translation."""
    return tuple(dict.fromkeys(key.note.hint for key in every_key()))


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **File.model_json_schema(),
    }


def _fault(kind: str, location: document.KeyPath) -> Fault:
    if kind == "extra_forbidden":
        return Fault(problem=Problem.UNKNOWN, path=location)
    if location and location[-1] == "[key]":
        return Fault(problem=Problem.NAME, path=location[:-1])
    path = location
    while path and key_at(path) is None and not _is_item(path):
        path = path[:-1]  # pydantic names the members of a union too
    return Fault(problem=Problem.MISSING if kind == "missing" else Problem.VALUE, path=path)


def _is_item(path: document.KeyPath) -> bool:
    """Whether it is one node or one dataset as a whole."""
    return any(_matches((*key.path, ANY), path) for key in every_key() if key.note.many)


def _matches(pattern: document.KeyPath, path: document.KeyPath) -> bool:
    return len(pattern) == len(path) and all(
        wanted in (ANY, part) for wanted, part in zip(pattern, path, strict=True)
    )


def _keys(section: type[Section], above: document.KeyPath) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        note = next(item for item in field.metadata if isinstance(item, Note))
        path = (*above, name)
        yield Key(
            path=path, description=field.description or "", required=field.is_required(),
            default=None if field.is_required() else field.default, note=note,
        )
        if note.section is not None:
            yield from _keys(note.section, (*path, ANY) if note.many else path)
