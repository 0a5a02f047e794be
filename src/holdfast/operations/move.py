"""Rename within a dataset; across datasets copy, verify, then remove the original.

A dataset has one protection, so a move to a dataset of another protection changes how well the
data is kept. It is refused unless that is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from holdfast import errors
from holdfast.engines import api
from holdfast.kit import buffers, checksum
from holdfast.model import objects
from holdfast.operations import context, copying, paths

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 4 << 20


def move(
    ctx: context.Context,
    sources: Sequence[str],
    target: str,
    options: copying.Options = copying.DEFAULT,
    *,
    change_protection: bool = False,
) -> copying.Report:
    """Move what the paths and globs name to `target`; into it when it is a folder.

    Nothing is changed when any of it would be refused. Raises NotFoundError, RefusedError
    (`object.exists`, `rename.into_itself`, `move.protection_differs`), IntegrityError when a copy
    does not read back as the original (which then stays).
    """
    moves = _moves(ctx, sources, target)
    for source, place in moves:
        _check_move(ctx, source, place, change_protection=change_protection)
    tally = copying.Tally(options.tell)
    meter = ctx.meter("mv", total=None, unit="bytes")
    for source, place in moves:
        if _same_dataset(ctx, source.path, place):
            ctx.engine.data.rename(source.path, place)
        else:
            _Carry(ctx, meter).carry(source, place)
        tally.note(copying.Item(source=source.path, target=place, size_bytes=source.size_bytes))
    meter.finish()
    return tally.report(meter.elapsed_s)


class _Carry:
    """A move across datasets."""

    def __init__(self, ctx: context.Context, meter: context.Meter) -> None:
        self._ctx = ctx
        self._data = ctx.engine.data
        self._meter = meter
        self._buffers = buffers.BufferPool(CHUNK_BYTES, keep=1)

    def carry(self, source: objects.ObjectInfo, target: str) -> None:
        """Copy and verify all, then remove the originals, each only if it has not changed."""
        everything = [source]
        if paths.is_folder(source):
            everything += paths.walk(self._data, source.path)
        for info in everything:
            self._ctx.check()
            self._copy(info, target + info.path[len(source.path) :])
        for info in reversed(everything):
            self._remove(info)

    def _copy(self, info: objects.ObjectInfo, place: str) -> None:
        if paths.is_folder(info):
            folders = api.extra(self._ctx.engine, api.Folders)
            if folders is not None:
                folders.make_folder(place)
            return
        attributes = info.attributes
        if attributes.modified_ns is None:
            attributes = objects.Attributes(modified_ns=info.modified_ns, mode=attributes.mode)
        with self._data.get(info.path, version=info.version or None) as source:
            hashing = _Hashing(source, self._meter)
            copy = self._data.put(
                place, cast(BinaryIO, hashing), size=info.size_bytes, attributes=attributes
            )
        if self._digest(copy) != hashing.digest() or copy.size_bytes != info.size_bytes:
            self._data.delete(place)
            raise errors.IntegrityError(
                "move.copy_differs", "the copy of {path} at {place} did not read back the same",
                hint="the original is untouched; holdfast status shows which node is failing",
                path=info.path, place=place,
            )

    def _digest(self, info: objects.ObjectInfo) -> bytes:
        with self._data.get(info.path, version=info.version or None) as source:
            hashing = _Hashing(source, self._meter)
            with self._buffers.lend() as buffer:
                while hashing.readinto(buffer):
                    pass
        return hashing.digest()

    def _remove(self, info: objects.ObjectInfo) -> None:
        if not paths.is_folder(info) and self._data.stat(info.path).version != info.version:
            raise errors.RefusedError(
                "object.changed", "{path} changed while it was moved; both are kept",
                hint="compare the two, remove one, or run the command again", path=info.path,
            )
        self._data.delete(info.path)


class _Hashing(io.RawIOBase):
    """A source that hashes what is read."""

    def __init__(self, source: BinaryIO, meter: context.Meter) -> None:
        self._source = source
        self._meter = meter
        self._hasher = checksum.Hasher()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        count: int = self._source.readinto(view)  # type: ignore[attr-defined]  # what `get` returns has it
        self._hasher.update(view[:count])
        self._meter.add(count)
        return count

    def digest(self) -> bytes:
        return self._hasher.digest()


def _moves(
    ctx: context.Context, sources: Sequence[str], target: str
) -> tuple[tuple[objects.ObjectInfo, str], ...]:
    found = paths.expand(ctx.engine.data, sources)
    path = objects.check_path(target)
    there = paths.find(ctx.engine.data, path)
    into = len(found) > 1 or target.endswith("/")
    return tuple(
        (info, paths.arrival(there, path, paths.name_of(info.path), into=into)) for info in found
    )


def _check_move(
    ctx: context.Context, source: objects.ObjectInfo, place: str, *, change_protection: bool
) -> None:
    if paths.inside(place, source.path):
        raise errors.RefusedError(
            "rename.into_itself", "{path} cannot be moved into itself",
            hint="choose a target outside of it", path=source.path,
        )
    if paths.find(ctx.engine.data, place) is not None:
        raise errors.RefusedError(
            "object.exists", "{path} is already there",
            hint="remove it first (holdfast rm), or choose another name", path=place,
        )
    before = paths.dataset_of(ctx.spec, source.path)
    after = paths.dataset_of(ctx.spec, place)
    if source.path == before.path:
        raise errors.RefusedError(
            "move.dataset", "{path} is the folder of dataset {dataset}",
            hint="to move what is in it: holdfast mv '{path}/*' TARGET",
            path=source.path, dataset=before.name,
        )
    if before.protection != after.protection and not change_protection:
        raise errors.RefusedError(
            "move.protection_differs",
            "{path} is kept as {before} in {source_dataset}, but {target_dataset} keeps {after}",
            hint="add --change-protection to move it all the same: it is copied, verified, "
            "then removed here",
            path=source.path, source_dataset=before.name, before=str(before.protection),
            target_dataset=after.name, after=str(after.protection),
        )


def _same_dataset(ctx: context.Context, source: str, target: str) -> bool:
    return paths.dataset_of(ctx.spec, source) == paths.dataset_of(ctx.spec, target)
