"""Copy objects and folders of the store to local files, as `cp -r` does, or to a stream.

Each file appears whole or not at all. Called by the CLI's `get` and `cat`, and by the demo.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from holdfast import errors
from holdfast.kit import buffers
from holdfast.model import objects, spec
from holdfast.operations import context, copying, crew, local, paths

CHUNK_BYTES = 4 << 20
SMALL_THREADS = 4
LARGE_THREADS = 2


class Sink(Protocol):
    """What takes bytes: a raw file may take fewer than it is given."""

    def write(self, data: memoryview, /) -> object: ...


def get(
    ctx: context.Context,
    sources: Sequence[str],
    target: str,
    options: copying.Options = copying.DEFAULT,
) -> copying.Report:
    """Copy what the paths and globs name to the local `target`. A folder arrives under its name.

    What cannot be copied (files that are there already, objects that cannot be read) is in the
    report. Raises NotFoundError for a source that is not there, IntegrityError for a single object
    that cannot be read, and the errors that would meet every further item.
    """
    found = paths.expand(ctx.engine.data, sources)
    roots = _roots(found, target)
    meter = ctx.meter("get", total=0, unit="bytes")
    tally = copying.Tally(options.tell)
    work = _Get(ctx, options, tally, meter)
    with (
        crew.Crew("get-small", SMALL_THREADS) as small,
        crew.Crew("get-large", LARGE_THREADS) as large,
    ):
        for info, place in _arrivals(ctx, roots):
            if paths.is_folder(info):
                work.make_folder(info, place)
                continue
            meter.expect(info.size_bytes)
            team = large if info.size_bytes > spec.SMALL_BYTES_MAX else small
            team.submit(functools.partial(work.get_object, info, place))
    meter.finish()
    return tally.report(meter.elapsed_s)


def get_stream(ctx: context.Context, sources: Sequence[str], sink: Sink) -> copying.Report:
    """Write the contents of the objects that the paths and globs name to `sink`, one after another."""
    found = tuple(paths.expand_each(ctx.engine.data, sources))
    for info in found:
        if paths.is_folder(info):
            raise errors.RefusedError(
                "object.is_folder", "{path} is a folder",
                hint="name an object; holdfast ls shows what the folder holds", path=info.path,
            )
    meter = ctx.meter("get", total=sum(info.size_bytes for info in found), unit="bytes")
    tally = copying.Tally(copying.ignore_item)
    pool = buffers.BufferPool(CHUNK_BYTES, keep=1)
    for info in found:
        with ctx.engine.data.get(info.path) as source, pool.lend() as buffer:
            size_bytes = _pour(source, sink, buffer, meter)
        tally.note(copying.Item(source=info.path, target="-", size_bytes=size_bytes))
    meter.finish()
    return tally.report(meter.elapsed_s)


class _Get:
    """One call of `get`: what its tasks share."""

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
        self._buffers = buffers.BufferPool(CHUNK_BYTES, keep=SMALL_THREADS + LARGE_THREADS)

    def make_folder(self, info: objects.ObjectInfo, place: str) -> None:
        self._ctx.check()
        try:
            os.makedirs(place, exist_ok=True)
        except OSError as error:
            self._note(info, place, error=local.not_writable(place, error))
        else:
            self._tally.note_folder()

    def get_object(self, info: objects.ObjectInfo, place: str) -> None:
        try:
            size_bytes = self._copy(info, place)
        except errors.HoldfastError as error:
            self._note(info, place, error=error)
        except OSError as error:
            self._note(info, place, error=local.not_writable(place, error))
        else:
            self._note(info, place, size_bytes=size_bytes)

    def _copy(self, info: objects.ObjectInfo, place: str) -> int:
        with (
            local.arriving(place, overwrite=self._options.overwrite, sync=self._options.sync) as file,
            self._ctx.engine.data.get(info.path) as source,
            self._buffers.lend() as buffer,
        ):
            with open(file, "wb", buffering=0, closefd=False) as sink:
                size_bytes = _pour(source, sink, buffer, self._meter)
            _dress(file, info.attributes, info.modified_ns)
        return size_bytes

    def _note(
        self,
        info: objects.ObjectInfo,
        place: str,
        *,
        size_bytes: int = 0,
        error: errors.HoldfastError | None = None,
    ) -> None:
        self._tally.note(
            copying.Item(
                source=info.path, target=local.printable(place), size_bytes=size_bytes, error=error
            )
        )


def _pour(source: BinaryIO, sink: Sink, buffer: memoryview, meter: context.Meter) -> int:
    """Copy all of `source`; returns its length in bytes. Raises Cancelled between chunks."""
    size_bytes = 0
    while count := source.readinto(buffer):  # type: ignore[attr-defined]  # what `get` returns has it
        view = buffer[:count]
        while view:
            written = sink.write(view)
            view = view[written if isinstance(written, int) else len(view) :]
        size_bytes += count
        meter.add(count)
    return size_bytes


def _dress(file: int, attributes: objects.Attributes, modified_ns: int) -> None:
    """Give a local file the mode and time that were kept; what the file system refuses is left."""
    umask_free = 0o666 if attributes.mode is None else attributes.mode & 0o777
    os.fchmod(file, umask_free & ~_umask() if attributes.mode is None else umask_free)
    moment = attributes.modified_ns if attributes.modified_ns is not None else modified_ns
    if moment:
        os.utime(file, ns=(moment, moment))


@functools.cache
def _umask() -> int:
    """The process's umask, without changing it for a moment as os.umask would."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as rows:
        for row in rows:
            if row.startswith("Umask:"):
                return int(row.split()[1], 8)
    return 0o022


def _roots(
    found: Sequence[objects.ObjectInfo], target: str
) -> tuple[tuple[objects.ObjectInfo, str], ...]:
    """(what, where it arrives) of each source. Raises before anything is changed."""
    is_folder = os.path.isdir(target)
    if len(found) > 1 and os.path.lexists(target) and not is_folder:
        raise errors.RefusedError(
            "copy.target_is_file", "{path} is a file; several sources need a folder",
            hint="name a folder as the target", path=local.printable(target),
        )
    roots = []
    for info in found:
        into = is_folder or len(found) > 1 or target.endswith("/") or paths.is_folder(info)
        place = os.path.join(target, paths.name_of(info.path)) if into else target
        roots.append((info, place))
    return tuple(roots)


def _arrivals(
    ctx: context.Context, roots: Sequence[tuple[objects.ObjectInfo, str]]
) -> Iterator[tuple[objects.ObjectInfo, str]]:
    for info, place in roots:
        if not paths.is_folder(info):
            _make_parent(place)
            yield info, place
            continue
        yield info, place
        for below in paths.walk(ctx.engine.data, info.path):
            relative = below.path[len(info.path) :].lstrip("/")
            yield below, os.path.join(place, relative)


def _make_parent(place: str) -> None:
    folder = os.path.dirname(place) or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise local.not_writable(folder, error) from error
