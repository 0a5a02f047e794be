"""Copy local files and folders, or a stream, into the store, as `cp -r` does.

Small files travel in batches, several threads at once; large ones as streams, two at a time. No
file is ever held whole in memory unless it is small. Called by the CLI's `put` and by the demo.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from holdfast import errors
from holdfast.engines import api
from holdfast.model import objects, spec
from holdfast.operations import context, copying, crew, local, paths

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BATCH_ITEMS_MAX = 512
BATCH_BYTES_MAX = 8 << 20
SMALL_THREADS = 4
LARGE_THREADS = 2


def put(
    ctx: context.Context,
    sources: Sequence[str],
    target: str,
    options: copying.Options = copying.DEFAULT,
) -> copying.Report:
    """Copy local `sources` to `target`. A folder arrives under its own name.

    What cannot be copied (symlinks, devices, names that cannot be kept, objects that are there
    already) is in the report. Raises NotFoundError for a source that is not there, and the errors
    that would meet every further item (quota, space, engine unreachable).
    """
    roots = _roots(ctx, sources, target)
    meter = ctx.meter("put", total=0, unit="bytes")
    tally = copying.Tally(options.tell)
    with (
        crew.Crew("put-small", SMALL_THREADS) as small,
        crew.Crew("put-large", LARGE_THREADS) as large,
    ):
        work = _Put(ctx, options, tally, meter)
        for batch in work.sort(entry for root in roots for entry in local.scan(*root)):
            if batch[0].size_bytes > spec.SMALL_BYTES_MAX:
                large.submit(functools.partial(work.put_large, batch[0]))
            else:
                small.submit(functools.partial(work.put_small, batch))
    meter.finish()
    return tally.report(meter.elapsed_s)


def put_stream(
    ctx: context.Context, source: BinaryIO, target: str, options: copying.Options = copying.DEFAULT
) -> copying.Report:
    """Store what `source` yields until its end as the object `target`."""
    path = objects.check_path(target)
    meter = ctx.meter("put", total=None, unit="bytes")
    tally = copying.Tally(options.tell)
    info = ctx.engine.data.put(path, metered(source, meter), overwrite=options.overwrite)
    tally.note(_stored("-", info))
    meter.finish()
    return tally.report(meter.elapsed_s)


class _Metered(io.RawIOBase):
    """A source that counts what is read and stops when the work is cancelled."""

    def __init__(self, source: BinaryIO, meter: context.Meter) -> None:
        self._source = source
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count: int = self._source.readinto(buffer)  # type: ignore[attr-defined]  # all binary files have it
        self._meter.add(count)
        return count


def metered(source: BinaryIO, meter: context.Meter) -> BinaryIO:
    """`source`, counted; reading it raises Cancelled when the work was asked to stop."""
    return cast(BinaryIO, _Metered(source, meter))


class _Put:
    """One call of `put`: what its tasks share."""

    def __init__(
        self,
        ctx: context.Context,
        options: copying.Options,
        tally: copying.Tally,
        meter: context.Meter,
    ) -> None:
        self._ctx = ctx
        self._options = options
        self._tally = tally
        self._meter = meter
        self._batches = api.extra(ctx.engine, api.BatchPut)
        self._folders = api.extra(ctx.engine, api.Folders)

    def sort(self, entries: Iterator[local.LocalEntry]) -> Iterator[list[local.LocalEntry]]:
        """Batches of small files, single large ones; folders are made and the rest noted here."""
        batch: list[local.LocalEntry] = []
        size_bytes = 0
        for entry in entries:
            self._ctx.check()
            if entry.kind is not local.LocalKind.FILE:
                self._note_other(entry)
                continue
            self._meter.expect(entry.size_bytes)
            if entry.size_bytes > spec.SMALL_BYTES_MAX:
                yield [entry]
                continue
            batch.append(entry)
            size_bytes += entry.size_bytes
            if len(batch) >= BATCH_ITEMS_MAX or size_bytes >= BATCH_BYTES_MAX:
                yield batch
                batch, size_bytes = [], 0
        if batch:
            yield batch

    def put_large(self, entry: local.LocalEntry) -> None:
        try:
            with open(entry.path, "rb", buffering=0) as source:
                info = self._ctx.engine.data.put(
                    entry.target, metered(source, self._meter),
                    overwrite=self._options.overwrite, attributes=entry.attributes,
                )
        except OSError as error:
            self._note_left_out(entry, local.not_readable(entry.path, error))
        except errors.HoldfastError as error:
            self._note_left_out(entry, error)
        else:
            self._tally.note(_stored(entry.path, info))

    def put_small(self, batch: list[local.LocalEntry]) -> None:
        if self._batches is None:
            for entry in batch:
                self.put_large(entry)
            return
        self._ctx.check()
        loaded = [(entry, data) for entry in batch if (data := self._load(entry)) is not None]
        items = [self._item(entry, data) for entry, data in loaded]
        for (entry, _), answer in zip(loaded, self._batches.put_many(items), strict=True):
            if isinstance(answer, errors.HoldfastError):
                self._note_left_out(entry, answer)
            else:
                self._tally.note(_stored(entry.path, answer))
                self._meter.add(answer.size_bytes)

    def _load(self, entry: local.LocalEntry) -> bytes | None:
        """A small file whole. None when it was dealt with: unreadable, or grown large since."""
        try:
            with open(entry.path, "rb", buffering=0) as source:
                data = source.read(spec.SMALL_BYTES_MAX + 1)
        except OSError as error:
            self._note_left_out(entry, local.not_readable(entry.path, error))
            return None
        if len(data) > spec.SMALL_BYTES_MAX:
            self.put_large(entry)
            return None
        return data

    def _item(self, entry: local.LocalEntry, data: bytes) -> api.PutItem:
        return api.PutItem(
            path=entry.target, source=data, size=len(data),
            overwrite=self._options.overwrite, attributes=entry.attributes,
        )

    def _note_other(self, entry: local.LocalEntry) -> None:
        """A folder is made, where the engine has folders; what is skipped is listed."""
        if entry.problem is not None:
            self._note_left_out(entry, entry.problem)
        elif self._folders is not None:
            try:
                self._folders.make_folder(entry.target)
            except errors.HoldfastError as error:
                self._note_left_out(entry, error)
            else:
                self._tally.note_folder()

    def _note_left_out(self, entry: local.LocalEntry, error: errors.HoldfastError) -> None:
        source = local.printable(entry.path)
        self._tally.note(copying.Item(source=source, target=entry.target, error=error))


def _stored(source: str, info: objects.ObjectInfo) -> copying.Item:
    return copying.Item(
        source=local.printable(source), target=info.path, size_bytes=info.size_bytes,
        margin=info.margin, warnings=info.warnings,
    )


def _roots(
    ctx: context.Context, sources: Sequence[str], target: str
) -> tuple[tuple[str, str], ...]:
    """(local path, where it arrives) of each source. Raises before anything is changed."""
    path = objects.check_path(target)
    there = paths.find(ctx.engine.data, path)
    if there is not None and not paths.is_folder(there) and len(sources) > 1:
        raise errors.RefusedError(
            "copy.target_is_object", "{path} is an object; several sources need a folder",
            hint="name a folder as the target", path=path,
        )
    roots = []
    for source in sources:
        into = len(sources) > 1 or target.endswith("/") or os.path.isdir(source)
        name = os.path.basename(os.path.abspath(source))
        if not os.path.lexists(source):
            raise local.not_readable(source, FileNotFoundError())
        roots.append((source.rstrip("/") or "/", paths.arrival(there, path, name, into=into)))
    return tuple(roots)
