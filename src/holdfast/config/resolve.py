"""From the user's file to what was asked for: defaults, profiles, overrides, relative paths.

Pure but for the current folder, from which relative paths of flags and the environment start.
Whether the nodes can carry a protection is the engine's plan to say, not ours.
"""

from __future__ import annotations

import enum
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from holdfast import errors
from holdfast.config import diagnose, document, schema
from holdfast.kit import units
from holdfast.model import objects, spec, topology

SIZE_BYTES_MAX = (1 << 63) - 1

T = TypeVar("T")


class OriginKind(enum.Enum):
    """From the weakest to the strongest."""

    DEFAULT = "default"
    PROFILE = "profile"
    FILE = "file"
    ENVIRONMENT = "env"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from; `str` is how `config show` prints it, in every language."""

    kind: OriginKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A key that the environment and a flag may set, in this order of strength."""

    key: str
    variable: str
    flag: str
    description: str


OVERRIDES = (
    Override(key="state", variable="HOLDFAST_STATE", flag="--state",
             description="The state folder. A relative path starts at the current folder."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One effective value. Sizes are integers of bytes, and so is `unit`."""

    key: str
    value: str | int | None
    origin: Origin
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What the file, the environment and the flags come to."""

    spec: spec.Spec
    entries: tuple[Entry, ...]

    @property
    def origins(self) -> Mapping[str, Origin]:
        """By key, as `config show` names it: `datasets.videos.quota`."""
        return {entry.key: entry.origin for entry in self.entries}


def resolve(
    read: document.Document, environ: Mapping[str, str], flags: Mapping[str, str | None]
) -> Effective:
    """Check every key and all of them together. Raises ConfigError for the first fault."""
    checked = schema.check(read.values)
    if not isinstance(checked, schema.File):
        raise diagnose.error_of(checked, read)
    state, state_origin = _state(checked, read, environ, flags)
    nodes = tuple(_node(node, number, read) for number, node in enumerate(checked.engine.nodes))
    datasets = tuple(_dataset(*item, read) for item in (checked.datasets or {}).items())
    _check_nodes(nodes, read)
    _check_state(state, nodes, read, state_origin)
    _check_datasets(datasets, read)
    desired = spec.Spec(
        cluster=checked.cluster,
        file=str(read.file),
        engine=spec.EngineSpec(kind=checked.engine.kind, nodes=nodes),
        datasets=datasets,
        state=state,
    )
    return Effective(spec=desired, entries=tuple(_entries(desired, read, state_origin)))


def _state(
    checked: schema.File,
    read: document.Document,
    environ: Mapping[str, str],
    flags: Mapping[str, str | None],
) -> tuple[str | None, Origin]:
    (override,) = (one for one in OVERRIDES if one.key == "state")
    flagged = flags.get(override.key)
    if flagged is not None:
        return _outer_folder(flagged, override.flag), Origin(OriginKind.FLAG, override.flag)
    if seen := environ.get(override.variable):
        origin = Origin(OriginKind.ENVIRONMENT, override.variable)
        return _outer_folder(seen, override.variable), origin
    if checked.state is None:
        return None, _origin(("state",), read)
    return _folder(checked.state, ("state",), read), _origin(("state",), read)


def _node(node: schema.Node, number: int, read: document.Document) -> spec.NodeSpec:
    path = ("engine", "nodes", number)
    return spec.NodeSpec(
        name=node.name,
        path=_folder(node.path, (*path, "path"), read),
        domain=tuple(node.domain.split("/")) if node.domain else (),
        weight_bytes=_size(node.weight, (*path, "weight"), read),
    )


def _dataset(name: str, dataset: schema.Dataset, read: document.Document) -> spec.DatasetSpec:
    path = ("datasets", name)
    protection = _placed(topology.parse_protection, dataset.protect, (*path, "protect"), read)
    if dataset.min_margin is not None and dataset.min_margin > protection.parity:
        raise errors.ConfigError(
            "config.margin_too_high",
            "{file}, line {line}: {key} is {value}, but {protection} survives {limit} failures",
            hint="lower it to {limit}, or choose a stronger protection",
            **read.place((*path, "min_margin")), value=dataset.min_margin,
            protection=str(protection), limit=protection.parity,
        )
    return spec.DatasetSpec(
        name=name,
        path=_store_path(dataset.path, (*path, "path"), read),
        protection=protection,
        profile=spec.Profile(dataset.profile),
        quota_bytes=_size(dataset.quota, (*path, "quota"), read),
        min_margin=dataset.min_margin,
    )


def _placed(
    parse: Callable[[str], T], text: str, path: document.KeyPath, read: document.Document
) -> T:
    """What `parse` makes of the text; its ConfigError is told as one of this key."""
    try:
        return parse(text)
    except errors.ConfigError as error:
        raise diagnose.bad_value(path, read) from error


def _size(
    written: str | int | None, path: document.KeyPath, read: document.Document
) -> int | None:
    if written is None:
        return None
    size_bytes = (
        written if isinstance(written, int) else _placed(units.parse_size, written, path, read)
    )
    if not 0 < size_bytes <= SIZE_BYTES_MAX:
        raise diagnose.bad_value(path, read)
    return size_bytes


def _store_path(written: str, path: document.KeyPath, read: document.Document) -> str:
    plain = _placed(objects.check_path, written, path, read)
    if plain == "/" or objects.SNAPSHOT_FOLDER in plain.split("/"):
        raise diagnose.bad_value(path, read)
    return plain


def _folder(written: str, path: document.KeyPath, read: document.Document) -> str:
    found = _absolute(written, str(read.file.parent))
    if found is None:
        raise diagnose.bad_value(path, read)
    return found


def _outer_folder(written: str, source: str) -> str:
    found = _absolute(written, os.getcwd())
    if found is None:
        raise errors.ConfigError(
            "config.bad_override", "{source} cannot be {value}",
            hint="give the path of a folder; ~ is not expanded",
            source=source, value=document.shown(written),
        )
    return found


def _absolute(written: str, base: str) -> str | None:
    """The folder without `.`, `..` and needless slashes; None for what cannot be one.

    `~` is refused: under sudo it would silently mean another folder.
    """
    whole = os.path.join(base, written)
    if not written or written.startswith("~") or not whole.isprintable():
        return None
    return "/" + os.path.normpath(whole).strip("/")


def _check_nodes(nodes: tuple[spec.NodeSpec, ...], read: document.Document) -> None:
    first: dict[str, int] = {}
    for number, node in enumerate(nodes):
        earlier = first.setdefault(node.name, number)
        if earlier != number:
            raise errors.ConfigError(
                "config.duplicate_node",
                "{file}, line {line}: {key}: the node of line {other_line} has the name {name} too",
                hint="give each node a name of its own",
                **read.place(("engine", "nodes", number, "name")), name=node.name,
                other_line=read.value_line(("engine", "nodes", earlier, "name")),
            )
    pair = _overlap([node.path for node in nodes])
    if pair is not None:
        earlier, later = pair
        raise errors.ConfigError(
            "config.nodes_overlap",
            "{file}, line {line}: {key}: {path} is, holds or lies in {other_path}, "
            "the node of line {other_line}",
            hint="give each node a folder of its own, best on a disk of its own",
            **read.place(("engine", "nodes", later, "path")), path=nodes[later].path,
            other_path=nodes[earlier].path,
            other_line=read.value_line(("engine", "nodes", earlier, "path")),
        )


def _check_state(
    state: str | None, nodes: tuple[spec.NodeSpec, ...], read: document.Document, origin: Origin
) -> None:
    for number, node in enumerate(nodes):
        if state is not None and _overlap([state, node.path]) is not None:
            raise errors.ConfigError(
                "config.state_in_node",
                "the state folder {state} (from {origin}) is, holds or lies in {path}, "
                "the folder of the node {node} ({file}, line {line})",
                hint="choose a state folder outside of every node",
                **read.place(("engine", "nodes", number, "path")), state=state,
                origin=str(origin), path=node.path, node=node.name,
            )


def _check_datasets(datasets: tuple[spec.DatasetSpec, ...], read: document.Document) -> None:
    pair = _overlap([dataset.path for dataset in datasets])
    if pair is None:
        return
    earlier, later = (datasets[number] for number in pair)
    raise errors.ConfigError(
        "config.datasets_overlap",
        "{file}, line {line}: {key}: {path} overlaps {other_path}, the dataset {other} "
        "of line {other_line}",
        hint="no dataset may lie inside another: move one of the two",
        **read.place(("datasets", later.name, "path")), path=later.path,
        other=earlier.name, other_path=earlier.path,
        other_line=read.value_line(("datasets", earlier.name, "path")),
    )


def _overlap(paths: list[str]) -> tuple[int, int] | None:
    """Two of the paths that are equal or of which one lies inside the other, in their order.

    In the order of components all that lies inside a path follows it, so neighbours suffice.
    """
    split = [tuple(name for name in path.split("/") if name) for path in paths]
    order = sorted(range(len(paths)), key=lambda number: (split[number], number))
    for outer, inner in itertools.pairwise(order):
        if split[inner][: len(split[outer])] == split[outer]:
            return min(outer, inner), max(outer, inner)
    return None


def _entries(
    desired: spec.Spec, read: document.Document, state_origin: Origin
) -> Iterator[Entry]:
    """Every value, in the order of the file."""

    def entry(path: document.KeyPath, value: str | int | None, unit: str = "") -> Entry:
        return Entry(key=document.dotted(path), value=value, origin=_origin(path, read), unit=unit)

    yield entry(("cluster",), desired.cluster)
    yield Entry(key="state", value=desired.state, origin=state_origin)
    yield entry(("engine", "kind"), desired.engine.kind)
    for number, node in enumerate(desired.engine.nodes):
        above = ("engine", "nodes", number)
        yield entry((*above, "name"), node.name)
        yield entry((*above, "path"), node.path)
        yield entry((*above, "domain"), "/".join(node.domain) or None)
        yield entry((*above, "weight"), node.weight_bytes, "bytes")
    for dataset in desired.datasets:
        inside = ("datasets", dataset.name)
        yield entry((*inside, "path"), dataset.path)
        yield entry((*inside, "protect"), str(dataset.protection))
        yield entry((*inside, "profile"), dataset.profile.value)
        yield Entry(
            key=document.dotted((*inside, "shard_bytes")), unit="bytes",
            value=spec.SHARD_BYTES[dataset.profile],
            origin=Origin(OriginKind.PROFILE, dataset.profile.value),
        )
        yield entry((*inside, "quota"), dataset.quota_bytes, "bytes")
        yield entry((*inside, "min_margin"), dataset.min_margin)


def _origin(path: document.KeyPath, read: document.Document) -> Origin:
    if not read.has(path):
        return Origin(OriginKind.DEFAULT)
    return Origin(OriginKind.FILE, f"{read.file.name}:{read.value_line(path)}")

