"""What the memory engine holds: one tree of names, the datasets in it, and their snapshots.

The lock guards all of it; methods that are called with the lock held say so.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.engines import refusals
from holdfast.engines.memory import tree
from holdfast.kit import clock
from holdfast.model import objects, snapshot, spec


@dataclass(slots=True, kw_only=True)
class Frozen:
    """A snapshot: what is told of it, and its own copy of the names."""

    info: snapshot.SnapshotInfo
    root: tree.Folder


@dataclass(slots=True, kw_only=True)
class Dataset:
    """`used_bytes` counts the objects that are there now, not those that only snapshots hold."""

    spec: spec.DatasetSpec
    names: tuple[str, ...]
    root: tree.Folder
    shard_bytes: int
    used_bytes: int = 0
    snapshots: dict[str, Frozen] = field(default_factory=dict)

    def snapshot(self, name: str) -> Frozen:
        found = self.snapshots.get(name)
        if found is None:
            raise refusals.no_snapshot(self.spec.name, name)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A path inside a dataset where changes are allowed. `inside`: its names below the dataset."""

    path: str
    dataset: Dataset
    inside: tuple[str, ...]

    @property
    def node(self) -> tree.Node | None:
        return tree.find(self.dataset.root, self.inside)


class Store:
    """Constructed with the datasets that are wanted; not open yet."""

    def __init__(
        self, wanted: spec.Spec, time: clock.Clock, shard_bytes: Mapping[spec.Profile, int]
    ) -> None:
        self.cluster = wanted.cluster
        self.time = time
        self.lock = threading.RLock()
        self.root = tree.Folder()
        self.datasets: dict[str, Dataset] = {}
        self.opened = False
        self._shard_bytes = shard_bytes
        self._versions = 0
        for one in wanted.datasets:
            self.add_dataset(one)

    def add_dataset(self, wanted: spec.DatasetSpec) -> None:
        """Make a dataset and its folder; one that is there by that name and path is adapted."""
        names = split(objects.check_path(wanted.path))
        with self.lock:
            for other in self.datasets.values():
                if other.spec.name == wanted.name and other.names == names:
                    other.spec = wanted
                    other.shard_bytes = self._shard_bytes[wanted.profile]
                    return
                _check_apart(wanted, names, other)
            self.datasets[wanted.name] = Dataset(
                spec=wanted,
                names=names,
                root=tree.make_folders(self.root, names, self.time.now_ns()),
                shard_bytes=self._shard_bytes[wanted.profile],
            )

    def check_open(self) -> None:
        if not self.opened:
            raise refusals.closed(self.cluster)

    def next_version(self) -> str:
        """Never given before. With the lock held."""
        self._versions += 1
        return str(self._versions)

    def dataset(self, name: str) -> Dataset:
        self.check_open()
        with self.lock:
            found = self.datasets.get(name)
        if found is None:
            raise refusals.no_dataset(name)
        return found

    def find(self, path: str) -> tree.Node | None:
        """What is at a checked path: in the live tree, or in a snapshot. With the lock held."""
        names = split(path)
        dataset = self._dataset_of(names)
        if dataset is not None:
            inside = names[len(dataset.names) :]
            if inside[:1] == (objects.SNAPSHOT_FOLDER,):
                return _find_in_snapshots(dataset, inside[1:])
        return tree.find(self.root, names)

    def need(self, path: str) -> tree.Node:
        """Like `find`, but NotFoundError where nothing is. With the lock held."""
        found = self.find(path)
        if found is None:
            raise refusals.no_object(path, self._dataset_paths())
        return found

    def need_object(self, path: str, version: str | None = None) -> tree.Object:
        """Like `need`, but refuses a folder and another version. With the lock held."""
        found = self.need(path)
        if isinstance(found, tree.Folder):
            raise refusals.is_folder(path)
        if version is not None and version != found.version:
            raise refusals.changed(path, version)
        return found

    def place(self, path: str) -> Place:
        """Where a change at a checked path would go; refuses where none may. With the lock held."""
        names = split(path)
        dataset = self._dataset_of(names)
        if dataset is None:
            raise refusals.no_dataset_holds(path, self._dataset_paths())
        inside = names[len(dataset.names) :]
        if inside[:1] == (objects.SNAPSHOT_FOLDER,):
            raise refusals.snapshot_read_only(path, dataset.spec.name)
        return Place(path=path, dataset=dataset, inside=inside)

    def is_above_datasets(self, path: str) -> bool:
        """Whether it is one of the folders that only lead to datasets. With the lock held."""
        names = split(path)
        return self._dataset_of(names) is None and tree.find(self.root, names) is not None

    def _dataset_of(self, names: tuple[str, ...]) -> Dataset | None:
        every = self.datasets.values()
        return next((one for one in every if names[: len(one.names)] == one.names), None)

    def _dataset_paths(self) -> tuple[str, ...]:
        return tuple(sorted(one.spec.path for one in self.datasets.values()))


def split(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split("/") if name)


def _find_in_snapshots(dataset: Dataset, names: tuple[str, ...]) -> tree.Node | None:
    if not names:
        return tree.Folder(0, {name: one.root for name, one in dataset.snapshots.items()})
    return tree.find(dataset.snapshot(names[0]).root, names[1:])


def _check_apart(wanted: spec.DatasetSpec, names: tuple[str, ...], other: Dataset) -> None:
    if wanted.name == other.spec.name:
        raise refusals.dataset_moved(wanted.name, other.spec.path, wanted.path)
    shorter = min(len(names), len(other.names))
    if names[:shorter] == other.names[:shorter]:
        raise refusals.dataset_overlaps(wanted.name, wanted.path, other.spec.name, other.spec.path)
