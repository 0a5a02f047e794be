"""Put many: small items go in groups, so that a group costs one round of syncs."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, cast

import apsw

from holdfast import errors
from holdfast.engines import api, refusals
from holdfast.engines.embedded import (
    changes,
    names,
    session,
    sources,
    writing,
)
from holdfast.engines.embedded.committer import Change
from holdfast.model import objects

SMALL_BYTES_MAX = writing.SMALL_BYTES_MAX
GROUP_ITEMS, GROUP_BYTES = 256, 4 << 20  # written and committed together
GROUPS_AHEAD = 4  # groups that may be on their way


def put_many(
    opened: session.Session, items: Iterable[api.PutItem]
) -> Iterator[Change | errors.HoldfastError]:
    """Small items go in groups, several groups at a time; each is answered, in order, when it is
    durable."""
    waiting: deque[Change | errors.HoldfastError] = deque()
    group: list[_Small] = []
    held = 0
    for item in items:
        small = _read_small(opened, item)
        if isinstance(small, _Small):
            group.append(small)
            held += len(small.data)
        else:  # an error, or a large one, which waits for those before it
            waiting.extend(_submit_group(opened, group))
            group, held = [], 0
            if isinstance(small, errors.HoldfastError):
                waiting.append(small)
            else:
                yield from _answers(opened, waiting, 0)
                yield _put_item(opened, small)
        if len(group) >= GROUP_ITEMS or held >= GROUP_BYTES:
            waiting.extend(_submit_group(opened, group))
            group, held = [], 0
            yield from _answers(opened, waiting, GROUPS_AHEAD * GROUP_ITEMS)
    waiting.extend(_submit_group(opened, group))
    yield from _answers(opened, waiting, 0)




class _Small(NamedTuple):
    """A small item of a batch, read."""

    change: changes.Put
    data: bytes


def _read_small(
    opened: session.Session, item: api.PutItem
) -> _Small | api.PutItem | errors.HoldfastError:
    """The content of a small item; a large one as an item whose source begins anew."""
    if item.size is not None and item.size > SMALL_BYTES_MAX:
        return item
    try:
        path = objects.check_path(item.path)
        dataset = writing.writable(opened, path)
        opened.check_room()
        stream = sources.as_stream(item.source)
        head = sources.read_up_to(stream, SMALL_BYTES_MAX + 1, item.size)
        if len(head) > SMALL_BYTES_MAX:
            return dataclasses.replace(item, source=cast(BinaryIO, sources.Chain(head, stream)))
        sources.check_size(len(head), item.size)
    except errors.HoldfastError as error:
        return error
    item = dataclasses.replace(item, path=path)
    return _Small(writing.small_put(dataset, item, head), head)


def _submit_group(
    opened: session.Session, group: list[_Small]
) -> list[Change | errors.HoldfastError]:
    """Send a group on its way, but for those that are there already and may not be replaced."""
    if not group:
        return []

    there = opened.catalog.read(lambda one: _already_there(one, group))
    told: list[Change | errors.HoldfastError] = []
    contents = []
    for one, refused in zip(group, there, strict=True):
        if refused:
            told.append(refusals.exists(one.change.path))
        else:
            told.append(one.change)
            contents.append(writing.small_content(one.change, one.data))
    opened.segments.submit(contents)
    return told


def _already_there(connection: apsw.Connection, group: list[_Small]) -> list[bool]:
    """Which of a group are objects already and may not be replaced; the commit judges the rest."""
    folders: dict[tuple[int, tuple[bytes, ...]], names.Entry | None] = {}
    told = []
    for change in (one.change for one in group):
        key = (change.dataset.number, change.names[:-1])
        if key not in folders:
            folders[key] = names.find(
                connection, names.Place(change.path, change.dataset, change.names[:-1]))
        folder = folders[key]
        entry = None
        if change.names and not change.overwrite and folder is not None and folder.kind == names.FOLDER:
            entry = names.child(connection, folder.object, change.names[-1])
        told.append(entry is not None and entry.kind != names.FOLDER)
    return told


def _answers(
    opened: session.Session, waiting: deque[Change | errors.HoldfastError], keep: int
) -> Iterator[Change | errors.HoldfastError]:
    """Answer what is durable, and wait for those that are more than `keep` behind."""
    while waiting and (len(waiting) > keep or _is_done(waiting[0])):
        yield _answer(opened, waiting.popleft())


def _put_item(opened: session.Session, item: api.PutItem) -> Change | errors.HoldfastError:
    try:
        return writing.put(
            opened, dataclasses.replace(item, path=objects.check_path(item.path)))
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
