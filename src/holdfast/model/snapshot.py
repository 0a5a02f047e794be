"""A point-in-time view of a dataset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInfo:
    """`root` is the path under which it is read: `<dataset path>/.snapshot/<name>`."""

    name: str
    dataset: str
    root: str
    created_ns: int
