"""Rebuild what holdfast remembers about a store from the nodes themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from holdfast.engines import api
from holdfast.operations import context


@runtime_checkable
class IndexRebuild(Protocol):
    """An extra of engines that keep an index beside the truth."""

    def rebuild_index(self, progress: Callable[[int], None]) -> Mapping[str, object]:
        """Replace the index by one made from the nodes; `progress` is called with the number of
        records read so far and may raise to stop, which leaves the old index as it was. Returns
        what was found, ready for JSON."""


def rebuild_index(ctx: context.Context) -> Mapping[str, object]:
    """Raises RefusedError where the engine keeps no index, UnavailableError below a majority."""
    meter = ctx.meter("rebuild", total=None, unit="records")
    seen = 0

    def advance(records: int) -> None:
        nonlocal seen
        meter.add(records - seen)
        seen = records

    result = api.need(ctx.engine, IndexRebuild).rebuild_index(advance)
    meter.finish()
    return result
