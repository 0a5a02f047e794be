"""Search the store by name, size, kind and age. Lazy, in the order of a tree walk."""

from __future__ import annotations

import datetime
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from holdfast import errors
from holdfast.kit import units
from holdfast.model import objects
from holdfast.operations import context, paths

COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "+": operator.gt, "-": operator.lt, "": operator.eq,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What must hold of an object: all that is given. `size` is (comparison, bytes)."""

    name: str | None = None
    kind: objects.ObjectKind | None = None
    size: tuple[str, int] | None = None
    newer_than_ns: int | None = None

    def accepts(self, info: objects.ObjectInfo) -> bool:
        if self.kind is not None and info.kind is not self.kind:
            return False
        if self.name is not None and not paths.name_matches(paths.name_of(info.path), self.name):
            return False
        if self.size is not None and not self._size_fits(info):
            return False
        return self.newer_than_ns is None or info.modified_ns > self.newer_than_ns

    def _size_fits(self, info: objects.ObjectInfo) -> bool:
        assert self.size is not None
        comparison, size_bytes = self.size
        return not paths.is_folder(info) and COMPARISONS[comparison](info.size_bytes, size_bytes)


def find(
    ctx: context.Context, roots: Sequence[str], query: Query
) -> Iterator[objects.ObjectInfo]:
    """What lies at or under the paths and globs and is accepted. Raises NotFoundError at once."""
    found = paths.expand(ctx.engine.data, roots)
    return _search(ctx, found, query)


def parse_size(text: str) -> tuple[str, int]:
    """Of `+10M` (larger), `-4k` (smaller) or `0` (exactly). Raises ConfigError."""
    comparison = text[:1] if text[:1] in ("+", "-") else ""
    return comparison, units.parse_size(text[len(comparison) :])


def parse_newer(text: str, now_ns: int) -> int:
    """The moment, in ns, of a local file's time, of `2d` ago, or of an ISO date. Raises ConfigError."""
    try:
        return os.stat(text).st_mtime_ns
    except OSError:
        pass
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        aware = moment if moment.tzinfo else moment.astimezone()
        return int(aware.timestamp() * 1e9)
    try:
        return now_ns - int(units.parse_duration_s(text) * 1e9)
    except errors.ConfigError as error:
        raise errors.ConfigError(
            "find.bad_time", "{text} is neither a local file, nor a date, nor a duration",
            hint="write a file's path, 2026-11-23, or a duration such as 2d or 90m", text=text,
        ) from error


def _search(
    ctx: context.Context, found: Sequence[objects.ObjectInfo], query: Query
) -> Iterator[objects.ObjectInfo]:
    for root in found:
        if query.accepts(root):
            yield root
        if not paths.is_folder(root):
            continue
        for info in paths.walk(ctx.engine.data, root.path):
            ctx.check()
            if query.accepts(info):
                yield info
