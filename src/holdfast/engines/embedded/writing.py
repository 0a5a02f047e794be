"""Put and append: from a source to durable pieces, then one commit.

Small content goes into a segment, everything else is cut into shards whose pieces are written to
their nodes; only when all of it is durable is the change handed to the committing thread.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import apsw

from holdfast import errors
from holdfast.engines import api, refusals
from holdfast.engines.embedded import (
    attributes,
    changes,
    names,
    segment_writer,
    session,
    shard_job,
    sources,
)
from holdfast.engines.embedded.committer import Change
from holdfast.kit import checksum, clock, ids
from holdfast.model import objects, spec, topology

SMALL_BYTES_MAX = spec.SMALL_BYTES_MAX
OBJECT_ID_BIT = 1 << 62  # tells object ids from versions, which are small
Written = list[tuple[shard_job.ShardWritten, shard_job.ShardTarget]]


def put(opened: session.Session, item: api.PutItem) -> changes.Put:
    """Store and commit an object, whose path is checked; the finished change."""
    dataset = writable(opened, item.path)
    opened.check_room()
    stream = sources.as_stream(item.source)
    head = sources.read_up_to(stream, SMALL_BYTES_MAX + 1, item.size)
    if len(head) > SMALL_BYTES_MAX:
        opened.catalog.read(lambda one: _judge_early(one, dataset, item))
        return _put_large(opened, dataset, item, sources.Chain(head, stream))
    sources.check_size(len(head), item.size)
    change = small_put(dataset, item, head)
    submit_small(opened, change, head)
    opened.committer.settle(change)
    return change


def writable(opened: session.Session, path: str) -> names.Dataset:
    """The dataset that a path lies in. Raises RefusedError outside, or below `.snapshot`."""
    dataset = opened.dataset_of(path)
    if dataset is None:
        raise refusals.no_dataset_holds(path, opened.dataset_paths())
    if path.startswith(objects.SNAPSHOT_FOLDER, len(dataset.path) + 1):
        inside = path[len(dataset.path) + 1 :].split("/", 1)[0]
        if inside == objects.SNAPSHOT_FOLDER:
            raise refusals.snapshot_read_only(path, dataset.name)
    return dataset


# --- small objects --------------------------------------------------------------------------


def small_put(dataset: names.Dataset, item: api.PutItem, data: bytes) -> changes.Put:
    return changes.Put(
        dataset, item.path, size=len(data), modified_ns=_modified(item.attributes),
        digest=checksum.digest(data), attributes=attributes.pack(item.attributes),
        overwrite=item.overwrite)


def submit_small(opened: session.Session, change: changes.Put, data: bytes) -> None:
    """Send content to its segment and then to the commit; the caller settles the change."""
    opened.segments.submit([small_content(change, data)])


def small_content(change: changes.Put, data: bytes) -> segment_writer.SmallContent:
    """Empty content has no place in a segment, but keeps its turn among the others."""

    def then(number: int, position: int, end: int) -> list[Change]:
        if data:
            change.content = ["segment", number, position, end]
        return [change]

    return segment_writer.SmallContent(
        change.dataset.number, change.path.encode(), data, then, change.finish)


# --- sharded objects ------------------------------------------------------------------------


def _put_large(
    opened: session.Session, dataset: names.Dataset, item: api.PutItem, source: sources.Chain
) -> changes.Put:
    if item.size is not None:
        _check_room(opened, dataset, item.size)
    object_id = ids.new_number() | OBJECT_ID_BIT
    parts, written = write_shards(opened, dataset, item.path, object_id, source, item.size)
    try:
        total = sum(one.length for one, _ in written)
        sources.check_size(total, item.size)
        digests = [one.digest for one, _ in written]
        change = changes.Put(
            dataset, item.path, size=total, modified_ns=_modified(item.attributes),
            digest=digests[0] if len(digests) == 1 else checksum.digest(b"".join(digests)),
            attributes=attributes.pack(item.attributes), overwrite=item.overwrite)
        change.content = ["object", object_id, parts]
        opened.committer.run(change)
    except BaseException as error:
        discard_unless_unknown(opened, written, error)
        raise
    return change


def discard_unless_unknown(
    opened: session.Session, written: Written, error: BaseException
) -> None:
    """Take back pieces, but never those of a commit that may have happened."""
    if not isinstance(error, errors.UnavailableError) or error.code == "log.locked":
        discard(opened, written)


def write_shards(
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
            sources.Exactly(source, size), limit,
        ):
            written.append((one, target))
            _check_margin(dataset, protection, one)
            parts.append(["piece", one.length, one.digest, dataset.protection, target.group,
                          list(one.nodes), object_id, target.number])
    except BaseException:
        discard(opened, written)
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


def discard(opened: session.Session, written: Written) -> None:
    for one, target in written:
        opened.shards.discard(one, target)


# --- checks ---------------------------------------------------------------------------------


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


def _judge_early(connection: apsw.Connection, dataset: names.Dataset, item: api.PutItem) -> None:
    """Refuse at once what would be refused in the end; the commit judges again."""
    place = names.Place(item.path, dataset, objects.components(item.path[len(dataset.path):]))
    old = names.find(connection, place)
    if old is not None:
        if old.kind == names.FOLDER:
            raise refusals.is_folder(item.path)
        if not item.overwrite:
            raise refusals.exists(item.path)
    else:
        _check_above(connection, place)
    if item.size is None or dataset.quota is None:
        return
    used, quota = connection.execute(
        "SELECT used, quota FROM datasets WHERE number=?", (dataset.number,)).fetchone() or (0, None)
    grown = item.size - (old.size if old else 0)
    if quota is not None and grown > 0 and used + grown > quota:
        raise refusals.quota_full(dataset.name, used, quota, grown)


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

