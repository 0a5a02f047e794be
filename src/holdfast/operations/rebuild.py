"""Rebuild what holdfast remembers about a store from the nodes themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from holdfast.engines import api
from holdfast.operations import context


@runtime_checkable
class IndexRebuild(Protocol):
    """An extra of engines that keep an index beside the truth."""

    def rebuild_index(self) -> Mapping[str, object]:
        """Replace the index by one made from the nodes. Until the new one is whole, the old one
        serves. Returns what was found, ready for JSON."""


def rebuild_index(ctx: context.Context) -> Mapping[str, object]:
    """Raises RefusedError where the engine keeps no index, UnavailableError below a majority."""
    return api.need(ctx.engine, IndexRebuild).rebuild_index()
