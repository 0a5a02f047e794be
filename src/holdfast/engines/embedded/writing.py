"""Put and append: from a source to durable pieces, then one commit.

Small content goes into a segment, everything else is cut into shards whose pieces are written to
their nodes; only when all of it is durable is the change handed to the committing thread.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import apsw

from holdfast import errors
from holdfast.engines import api, refusals
from holdfast.engines.embedded import (
    attributes,
    changes,
    names,
    segment,
    segment_writer,
    session,
    shard_job,
)
from holdfast.engines.embedded.committer import Change
from holdfast.kit import checksum, clock, ids
from holdfast.model import objects, spec, topology

SMALL_BYTES_MAX = spec.SMALL_BYTES_MAX
REWRITE_BYTES_MAX = 16 << 10  # an appended object up to this size is simply written again
OBJECT_ID_BIT = 1 << 62  # tells object ids from versions, which are small
WINDOW_ITEMS, WINDOW_BYTES = 2048, 16 << 20  # of put_many, not yet durable
Written = list[tuple[shard_job.ShardWritten, shard_job.ShardTarget]]


def put(
    opened: session.Session, path: str, source: api.Source, *, size: int | None,
    overwrite: bool, given: objects.Attributes | None,
) -> Change:
    """Store and commit an object; the finished change."""
    dataset = writable(opened, path)
    stream = as_stream(source)
    opened.catalog.read(lambda one: _judge_early(one, dataset, path, size, overwrite=overwrite))
    head = _read_up_to(stream, SMALL_BYTES_MAX + 1, size)
    if len(head) <= SMALL_BYTES_MAX:
        _check_size(len(head), size, stream)
        change = small_put(dataset, path, head, overwrite=overwrite, given=given)
        submit_small(opened, change, head)
    else:
        change = _put_large(opened, dataset, path, head, stream, size, overwrite, given)
        return change
    opened.committer.settle(change)
    return change


def put_many(
    opened: session.Session, items: Iterable[api.PutItem]
) -> Iterator[Change | errors.HoldfastError]:
    """Small items are pipelined; each is answered, in order, when it is durable."""
    waiting: deque[tuple[changes.Put | errors.HoldfastError, int]] = deque()
    held = 0
    for item in items:
        started = _start_item(opened, item)
        if started is None:  # a large one: first let those before it become durable
            while waiting:
                yield _answer(opened, waiting.popleft()[0])
            held = 0
            yield _put_item(opened, item)
            continue
        waiting.append(started)
        held += started[1]
        while waiting and (len(waiting) > WINDOW_ITEMS or held > WINDOW_BYTES
                           or _is_done(waiting[0][0])):
            change, weight = waiting.popleft()
            held -= weight
            yield _answer(opened, change)
    while waiting:
        yield _answer(opened, waiting.popleft()[0])


def append(
    opened: session.Session, path: str, source: api.Source, *, at_size: int | None
) -> bool:
    """Add to an object; False when the source was empty and nothing changed."""
    dataset = writable(opened, path)
    if not dataset.protection.startswith("replicas"):
        raise refusals.append_to_erasure(path, dataset.name, dataset.protection)
    stream = as_stream(source)
    head: bytes | None = None
    parts: list[Any] = []
    written: Written = []
    while True:
        entry = opened.catalog.read(lambda one: _entry_to_append(one, path, at_size))
        if head is None:
            head = _read_up_to(stream, SMALL_BYTES_MAX + 1, None)
            if not head:
                return False
            if len(head) > SMALL_BYTES_MAX:
                object_id = ids.new_number() | OBJECT_ID_BIT
                parts, written = _write_shards(
                    opened, dataset, path, object_id, _Chain(head, stream), None)
        try:
            _append_once(opened, dataset, path, entry, at_size, head, parts)
        except errors.RefusedError as error:
            if error.code == "object.changed":
                continue
            _discard(opened, written)
            raise
        except BaseException:
            _discard(opened, written)
            raise
        return True


def writable(opened: session.Session, path: str) -> names.Dataset:
    """The dataset that a path lies in. Raises RefusedError outside, or below `.snapshot`."""

    def find(connection: apsw.Connection) -> names.Dataset:
        known = names.datasets(connection)
        for dataset in known:
            if path == dataset.path or path.startswith(dataset.path + "/"):
                inside = path[len(dataset.path) + 1 :].split("/", 1)[0]
                if inside == objects.SNAPSHOT_FOLDER:
                    raise refusals.snapshot_read_only(path, dataset.name)
                return dataset
        raise refusals.no_dataset_holds(path, (one.path for one in known))

    return opened.catalog.read(find)


def as_stream(source: api.Source) -> Any:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    return source


# --- small objects --------------------------------------------------------------------------


def small_put(
    dataset: names.Dataset, path: str, data: bytes, *, overwrite: bool,
    given: objects.Attributes | None, expected: int | None = None,
) -> changes.Put:
    return changes.Put(
        dataset, path, size=len(data), modified_ns=_modified(given),
        digest=checksum.digest(data), attributes=attributes.pack(given), overwrite=overwrite,
        expected=expected)


def submit_small(opened: session.Session, change: changes.Put, data: bytes) -> None:
    """Send content to its segment and then to the commit; the caller settles the change."""
    if not data:
        opened.committer.submit([change])
        return

    def then(number: int, position: int, end: int) -> list[Change]:
        change.content = ["segment", number, position, end]
        return [change]

    opened.segments.submit([segment_writer.SmallContent(
        change.dataset.number, change.path.encode(), data, then, change.finish)])


def _start_item(
    opened: session.Session, item: api.PutItem
) -> tuple[changes.Put | errors.HoldfastError, int] | None:
    """Begin a small item; None for one that is too large for that, with nothing consumed."""
    if item.size is not None and item.size > SMALL_BYTES_MAX:
        return None
    try:
        path = objects.check_path(item.path)
        dataset = writable(opened, path)
        stream = as_stream(item.source)
        head = _read_up_to(stream, SMALL_BYTES_MAX + 1, item.size)
        if len(head) > SMALL_BYTES_MAX:
            return _put_item(opened, api.PutItem(
                path=path, source=_Chain(head, stream), size=item.size,  # type: ignore[arg-type]
                overwrite=item.overwrite, attributes=item.attributes)), 0  # type: ignore[return-value]
        _check_size(len(head), item.size, stream)
    except errors.HoldfastError as error:
        return error, 0
    change = small_put(dataset, path, head, overwrite=item.overwrite, given=item.attributes)
    submit_small(opened, change, head)
    return change, len(head)


def _put_item(opened: session.Session, item: api.PutItem) -> Change | errors.HoldfastError:
    try:
        return put(opened, objects.check_path(item.path), item.source, size=item.size,
                   overwrite=item.overwrite, given=item.attributes)
    except errors.HoldfastError as error:
        return error


def _answer(
    opened: session.Session, one: Change | errors.HoldfastError
) -> Change | errors.HoldfastError:
    if isinstance(one, errors.HoldfastError):
        return one
    if one.done:
        return one if one.error is None else _known(one.error)
    try:
        opened.committer.settle(one)
    except errors.HoldfastError as error:
        return error
    return one


def _known(error: BaseException) -> errors.HoldfastError:
    if isinstance(error, errors.HoldfastError):
        return error
    raise error


def _is_done(one: Change | errors.HoldfastError) -> bool:
    return isinstance(one, errors.HoldfastError) or one.done


# --- sharded objects ------------------------------------------------------------------------


def _put_large(
    opened: session.Session, dataset: names.Dataset, path: str, head: bytes, stream: Any,
    size: int | None, overwrite: bool, given: objects.Attributes | None,  # noqa: FBT001
) -> Change:
    if size is not None:
        _check_room(opened, dataset, size)
    object_id = ids.new_number() | OBJECT_ID_BIT
    parts, written = _write_shards(opened, dataset, path, object_id, _Chain(head, stream), size)
    try:
        total = sum(one.length for one, _ in written)
        if size is not None:
            _check_size(total, size, stream)
        digests = [one.digest for one, _ in written]
        digest = digests[0] if len(digests) == 1 else checksum.digest(b"".join(digests))
        change = changes.Put(
            dataset, path, size=total, modified_ns=_modified(given), digest=digest,
            attributes=attributes.pack(given), overwrite=overwrite)
        change.content = ["object", object_id, parts]
        opened.committer.run(change)
    except errors.UnavailableError as error:
        if error.code != "commit.unknown":
            _discard(opened, written)
        raise
    except BaseException:
        _discard(opened, written)
        raise
    return change


def _write_shards(
    opened: session.Session, dataset: names.Dataset, path: str, object_id: int, source: Any,
    size: int | None,
) -> tuple[list[Any], Written]:
    """Store a source as shards: their records, and what to discard if it comes to nothing."""
    protection = topology.parse_protection(dataset.protection)
    limit = opened.tuning.shard_bytes[spec.Profile(dataset.profile)]
    written: Written = []
    parts: list[Any] = []
    try:
        for target, one in opened.shards.write_all(
            lambda number: _target(opened, dataset, path, protection, object_id, number),
            _Exactly(source, size), limit,
        ):
            written.append((one, target))
            _check_margin(dataset, protection, one)
            parts.append(["piece", one.length, one.digest, dataset.protection, target.group,
                          list(one.nodes), object_id, target.number])
    except BaseException:
        _discard(opened, written)
        raise
    return parts, written


def _target(
    opened: session.Session, dataset: names.Dataset, path: str, protection: topology.Protection,
    object_id: int, number: int,
) -> shard_job.ShardTarget:
    group, nodes = opened.row(protection, object_id, number)
    tail = opened.log.tail
    return shard_job.ShardTarget(
        cluster_id=opened.store_bytes, dataset=dataset.number, object_id=object_id,
        number=number, epoch=tail.name.epoch if tail else 0, sequence=opened.catalog.seen,
        protection=protection, group=group, nodes=nodes,
        spares=opened.spares_for(protection), path=path)


def _check_margin(
    dataset: names.Dataset, protection: topology.Protection, written: shard_job.ShardWritten
) -> None:
    have = sum(1 for number in written.nodes if number >= 0) - protection.data
    if dataset.min_margin is not None and have < dataset.min_margin:
        raise errors.RefusedError(
            "put.margin_too_low", "dataset {dataset} asks for margin {wanted}, but only {have} "
            "can be had now", dataset=dataset.name, wanted=dataset.min_margin, have=have,
            hint="bring nodes back (holdfast status), or lower min_margin in the file",
        )


def _discard(opened: session.Session, written: Written) -> None:
    for one, target in written:
        opened.shards.discard(one, target)


# --- append ---------------------------------------------------------------------------------


def _entry_to_append(
    connection: apsw.Connection, path: str, at_size: int | None
) -> names.Entry:
    place = names.locate(connection, path)
    entry = names.find(connection, place)
    if entry is None:
        raise refusals.no_object(path, (one.path for one in names.datasets(connection)))
    if entry.kind == names.FOLDER:
        raise refusals.is_folder(path)
    if at_size is not None and entry.size != at_size:
        raise refusals.append_size_changed(path, entry.size, at_size)
    return entry


def _append_once(
    opened: session.Session, dataset: names.Dataset, path: str, entry: names.Entry,
    at_size: int | None, head: bytes, parts: list[Any],
) -> None:
    """One try against the entry as it was seen. Raises `object.changed` when it is another now."""
    now_ns = clock.SYSTEM.now_ns()
    if entry.kind == names.SHARDED:
        grow = changes.Append(dataset, path, entry.object, at_size=at_size, modified_ns=now_ns,
                              shards=list(parts))
        if parts:
            opened.committer.run(grow)
        else:
            _through_segment(opened, grow, [head])
        return
    old = _whole(opened, path, entry)
    change = changes.Put(
        dataset, path, size=entry.size + (len(head) if not parts else _length(parts)),
        modified_ns=now_ns, digest=None, attributes=entry.attributes, overwrite=True,
        expected=entry.version)
    if not parts and change.size <= REWRITE_BYTES_MAX:
        change.digest = checksum.digest(old + head)
        submit_small(opened, change, old + head)
        opened.committer.settle(change)
        return
    object_id = ids.new_number() | OBJECT_ID_BIT
    change.content = ["object", object_id, list(parts)]
    pieces = [old] if old else []
    if not parts:
        pieces.append(head)
    _through_segment(opened, change, pieces)


def _through_segment(
    opened: session.Session, change: changes.Put | changes.Append, pieces: list[bytes]
) -> None:
    """Put `pieces` into a segment, before the shards that the change has, and commit it."""
    shards = change.content[2] if isinstance(change, changes.Put) and change.content else (
        change.shards if isinstance(change, changes.Append) else [])
    stored: list[Any] = []

    def then_for(data: bytes, *, last: bool) -> Any:
        def then(number: int, position: int, end: int) -> list[Change]:
            stored.append(["segment", number, position, len(data), checksum.digest(data), end])
            if last:
                shards[:0] = stored
            return [change] if last else []

        return then

    if not pieces:
        opened.committer.run(change)
        return
    opened.segments.submit([
        segment_writer.SmallContent(
            change.dataset.number, change.path.encode(), data,
            then_for(data, last=position == len(pieces) - 1),
            change.finish if position == 0 else _ignore)
        for position, data in enumerate(pieces)
    ])
    opened.committer.settle(change)


def _ignore(error: BaseException) -> None:
    """The first piece's failure already finished the change."""
    del error


def _whole(opened: session.Session, path: str, entry: names.Entry) -> bytes:
    from holdfast.engines.embedded import reading  # noqa: PLC0415 - reading and writing are peers

    if entry.kind == names.EMPTY:
        return b""
    with reading.open_range(opened, path, 0, None, f"{entry.version:x}") as file:
        return bytes(file.read())


def _length(parts: list[Any]) -> int:
    return sum(part[1] for part in parts)


# --- sources and checks ---------------------------------------------------------------------


class _Chain:
    """What was read ahead, then the rest of the stream."""

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head = memoryview(head)
        self._stream = stream

    def readinto(self, buffer: memoryview, /) -> int:
        if self._head:
            count = min(len(buffer), len(self._head))
            buffer[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        return read_some(self._stream, buffer)

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: self.readinto(memoryview(data))])


class _Exactly:
    """At most `size` bytes and one more, so that a source that is too long is noticed."""

    def __init__(self, source: Any, size: int | None) -> None:
        self._source = source
        self._left = None if size is None else size + 1

    def readinto(self, buffer: memoryview, /) -> int:
        if self._left is not None:
            buffer = buffer[: self._left]
        if not len(buffer):
            return 0
        count = int(self._source.readinto(buffer) or 0)
        if self._left is not None:
            self._left -= count
        return count


def read_some(stream: Any, buffer: memoryview) -> int:
    """`readinto` where the stream has it, else through `read`."""
    readinto = getattr(stream, "readinto", None)
    if readinto is not None:
        return int(readinto(buffer) or 0)
    data = stream.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _read_up_to(stream: Any, limit: int, size: int | None) -> bytes:
    """The first bytes of a stream, at most `limit`."""
    if size is not None:
        limit = min(limit, size + 1)
    chunks: list[bytes] = []
    have = 0
    while have < limit:
        data = stream.read(limit - have)
        if not data:
            break
        chunks.append(bytes(data))
        have += len(data)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_size(have: int, size: int | None, stream: Any) -> None:
    del stream
    if size is not None and have != size:
        raise refusals.size_mismatch(size)


def _check_room(opened: session.Session, dataset: names.Dataset, size: int) -> None:
    """Refuse before anything is written what cannot fit on the nodes that are up."""
    protection = topology.parse_protection(dataset.protection)
    free: dict[int, int] = {}
    for number in opened.up():
        with contextlib.suppress(OSError):
            found = os.statvfs(opened.disks[number].root)
            device = os.stat(opened.disks[number].root).st_dev
            free[device] = found.f_bavail * found.f_frsize
    needed = size * protection.width // protection.data
    if needed > sum(free.values()):
        raise errors.RefusedError(
            "space.none", "the nodes have {free} bytes free; this needs {needed}",
            hint="remove something, or add a node to the file and run holdfast apply",
            free=sum(free.values()), needed=needed,
        )


def _judge_early(
    connection: apsw.Connection, dataset: names.Dataset, path: str, size: int | None, *,
    overwrite: bool,
) -> None:
    """Refuse at once what would be refused in the end; the commit judges again."""
    place = names.Place(path, dataset, objects.components(path[len(dataset.path):]))
    old = names.find(connection, place)
    if old is not None:
        if old.kind == names.FOLDER:
            raise refusals.is_folder(path)
        if not overwrite:
            raise refusals.exists(path)
    else:
        _check_above(connection, place)
    grown = 0 if size is None else size - (old.size if old else 0)
    if dataset.quota is not None and grown > 0 and dataset.used + grown > dataset.quota:
        raise refusals.quota_full(dataset.name, dataset.used, dataset.quota, grown)


def _check_above(connection: apsw.Connection, place: names.Place) -> None:
    assert place.dataset is not None
    folder = place.dataset.root
    for name in place.names[:-1]:
        above = names.child(connection, folder, name)
        if above is None:
            return
        if above.kind != names.FOLDER:
            raise refusals.parent_is_object(place.path)
        folder = above.object


def _modified(given: objects.Attributes | None) -> int:
    if given is not None and given.modified_ns is not None:
        return given.modified_ns
    return clock.SYSTEM.now_ns()


assert segment.SMALL_BYTES_MAX == SMALL_BYTES_MAX
