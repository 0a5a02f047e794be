"""Paths inside the store: globs, walks, and where a copy arrives."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects, spec

PATTERN_CHARACTERS = frozenset("*?[")


def find(data: api.DataPlane, path: str) -> objects.ObjectInfo | None:
    """What is at `path`, or None."""
    if path == "/":
        return objects.ObjectInfo(path="/", kind=objects.ObjectKind.FOLDER)
    try:
        return data.stat(path)
    except errors.NotFoundError:
        return None


def require(data: api.DataPlane, path: str) -> objects.ObjectInfo:
    """What is at `path`. Raises NotFoundError."""
    if path == "/":
        return objects.ObjectInfo(path="/", kind=objects.ObjectKind.FOLDER)
    return data.stat(path)


def expand(data: api.DataPlane, wanted: Sequence[str]) -> tuple[objects.ObjectInfo, ...]:
    """What the paths and globs name, each once, in order.

    A path that exists is itself, even with a `*` in its name. `*` and `?` stay within one name and,
    as in a shell, do not match a leading dot. A glob that matches nothing: NotFoundError.
    """
    return tuple({info.path: info for info in expand_each(data, wanted)}.values())


def expand_each(
    data: api.DataPlane, wanted: Sequence[str]
) -> Iterator[objects.ObjectInfo]:
    """Like `expand`, but what is named twice is given twice."""
    for one in wanted:
        yield from _expand_one(data, objects.check_path(one))


def walk(data: api.DataPlane, folder: str) -> Iterator[objects.ObjectInfo]:
    """All that lies under a folder: each folder right before what it holds. Not the folder itself."""
    listings = [data.list_objects(folder, recursive=False)]
    while listings:
        info = next(listings[-1], None)
        if info is None:
            listings.pop()
            continue
        yield info
        if is_folder(info):
            listings.append(data.list_objects(info.path, recursive=False))


def is_folder(info: objects.ObjectInfo) -> bool:
    return info.kind is objects.ObjectKind.FOLDER


def name_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies under it."""
    return folder in ("/", path) or path.startswith(folder + "/")


def dataset_of(wanted: spec.Spec, path: str) -> spec.DatasetSpec:
    """The dataset that a path lies in. Raises RefusedError."""
    homes = [one for one in wanted.datasets if inside(path, one.path)]
    if not homes:
        raise errors.RefusedError(
            "dataset.none", "{path} lies in no dataset",
            hint="holdfast dataset list shows the datasets and their paths", path=path,
        )
    return max(homes, key=lambda one: len(one.path))


def arrival(target: objects.ObjectInfo | None, path: str, name: str, *, into: bool) -> str:
    """Where something called `name` arrives when it is copied to `path`.

    `into`: it must arrive under its own name (a folder, one of several, a target that ends in /).
    """
    if into or (target is not None and is_folder(target)):
        return objects.join(path, name)
    return path


def _expand_one(data: api.DataPlane, path: str) -> Iterator[objects.ObjectInfo]:
    if not PATTERN_CHARACTERS & set(path):
        yield require(data, path)
        return
    itself = find(data, path)
    if itself is not None:
        yield itself
        return
    names = [name for name in path.split("/") if name]
    matches = list(_match(data, require(data, "/"), names))
    if not matches:
        raise errors.NotFoundError(
            "glob.no_match", "nothing matches {pattern}",
            hint="holdfast ls FOLDER shows what there is", pattern=path,
        )
    yield from matches


def _match(
    data: api.DataPlane, at: objects.ObjectInfo, names: Sequence[str]
) -> Iterator[objects.ObjectInfo]:
    if not names:
        yield at
        return
    if not is_folder(at):
        return
    first, rest = names[0], names[1:]
    if not PATTERN_CHARACTERS & set(first):
        below = find(data, objects.join(at.path, first))
        if below is not None:
            yield from _match(data, below, rest)
        return
    for info in data.list_objects(at.path, recursive=False):
        if name_matches(name_of(info.path), first):
            yield from _match(data, info, rest)


def name_matches(name: str, pattern: str) -> bool:
    """As a shell matches: a leading dot only by a leading dot."""
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatch.fnmatchcase(name, pattern)
