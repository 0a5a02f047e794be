"""List, describe and remove what the store holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects
from holdfast.operations import context, copying, paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An object or folder, and its shards where they were asked for."""

    info: objects.ObjectInfo
    shards: tuple[objects.Shard, ...] | None


def list_paths(
    ctx: context.Context, wanted: Sequence[str], *, recursive: bool
) -> Iterator[objects.ObjectInfo]:
    """What lies directly (recursive: anywhere) under the folders, and the objects themselves.

    Raises NotFoundError at once for a path that is not there.
    """
    found = paths.expand(ctx.engine.data, wanted)
    return _listing(ctx, found, recursive=recursive)


def describe(ctx: context.Context, wanted: Sequence[str], *, shards: bool) -> tuple[Described, ...]:
    """Raises NotFoundError; RefusedError when the engine cannot tell of shards."""
    teller = api.need(ctx.engine, api.Shards) if shards else None
    rows = []
    for info in paths.expand(ctx.engine.data, wanted):
        told = None
        if teller is not None and not paths.is_folder(info):
            told = tuple(teller.shards(info.path, info.version or None))
        rows.append(Described(info=info, shards=told))
    return tuple(rows)


def remove(
    ctx: context.Context,
    wanted: Sequence[str],
    options: copying.Options = copying.DEFAULT,
    *,
    recursive: bool = False,
) -> copying.Report:
    """Remove objects, and with `recursive` folders and all below them.

    All paths and globs are resolved first: one that names nothing, or a folder without
    `recursive`, and nothing is removed. Raises NotFoundError, RefusedError.
    """
    found = paths.expand(ctx.engine.data, wanted)
    for info in found:
        _check_removable(ctx, info, recursive=recursive)
    tally = copying.Tally(options.tell)
    meter = ctx.meter("rm", total=len(found), unit="paths")
    for info in found:
        try:
            ctx.engine.data.delete(info.path, recursive=recursive)
        except errors.HoldfastError as error:
            tally.note(copying.Item(source=info.path, target="", error=error))
        else:
            tally.note(copying.Item(source=info.path, target="", size_bytes=info.size_bytes))
        meter.add(1)
    meter.finish()
    return tally.report(meter.elapsed_s)


def _listing(
    ctx: context.Context, found: Sequence[objects.ObjectInfo], *, recursive: bool
) -> Iterator[objects.ObjectInfo]:
    for info in found:
        if not paths.is_folder(info):
            yield info
        elif recursive:
            yield from paths.walk(ctx.engine.data, info.path)
        else:
            yield from ctx.engine.data.list_objects(info.path, recursive=False)


def _check_removable(
    ctx: context.Context, info: objects.ObjectInfo, *, recursive: bool
) -> None:
    roots = {one.path for one in ctx.spec.datasets}
    if info.path == "/" or info.path in roots:
        raise errors.RefusedError(
            "rm.dataset", "{path} is the folder of a dataset, not something in it",
            hint="to empty it: holdfast rm -r '{inside}'",
            path=info.path, inside=objects.join(info.path, "*"),
        )
    if paths.is_folder(info) and not recursive:
        raise errors.RefusedError(
            "folder.not_empty", "{path} is a folder",
            hint="add -r to remove it and all that is in it", path=info.path,
        )
