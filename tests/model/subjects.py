"""What the machine drives: an engine behind a handful of verbs, or an oracle that is only a dict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from holdfast import errors
from holdfast.engines import api, memory
from holdfast.model import objects, spec, topology
from tests.conformance import engines

Told = set[tuple[str, str, str | None]]
Listing = dict[str, int | None]


class No(Exception):  # noqa: N818 - the word for it
    """The oracle's refusal: the code that an engine gives."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Subject(Protocol):
    """Paths are checked already. Refusals are HoldfastError or No, compared by code."""

    def put(self, path: str, content: bytes, *, overwrite: bool) -> None: ...
    def put_many(self, items: Sequence[tuple[str, bytes]]) -> list[str]: ...
    def append(self, path: str, content: bytes, at_size: int | None) -> None: ...
    def rename(self, source: str, target: str) -> None: ...
    def delete(self, path: str, *, recursive: bool) -> None: ...
    def make_folder(self, path: str) -> None: ...
    def remove_folder(self, path: str) -> None: ...
    def create_snapshot(self, dataset: str, name: str) -> None: ...
    def remove_snapshot(self, dataset: str, name: str) -> None: ...
    def changes(self, dataset: str, before: str) -> Told: ...
    def read(self, path: str, offset: int, length: int | None) -> bytes: ...
    def listing(self) -> Listing:
        """Size of every object and None for every folder, in snapshots too, in listing order."""

    def reopen(self) -> None: ...
    def close(self) -> None: ...


class OfEngine:
    """An engine as a subject."""

    def __init__(self, opened: engines.Opened) -> None:
        self._opened = opened

    @property
    def _engine(self) -> api.Engine:
        return self._opened.engine

    def put(self, path: str, content: bytes, *, overwrite: bool) -> None:
        self._engine.data.put(path, content, overwrite=overwrite)

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> list[str]:
        told = api.need(self._engine, api.BatchPut).put_many(
            api.PutItem(path=path, source=content) for path, content in items
        )
        return [one.code if isinstance(one, errors.HoldfastError) else "done" for one in told]

    def append(self, path: str, content: bytes, at_size: int | None) -> None:
        api.need(self._engine, api.Append).append(path, content, at_size=at_size)

    def rename(self, source: str, target: str) -> None:
        self._engine.data.rename(source, target)

    def delete(self, path: str, *, recursive: bool) -> None:
        self._engine.data.delete(path, recursive=recursive)

    def make_folder(self, path: str) -> None:
        api.need(self._engine, api.Folders).make_folder(path)

    def remove_folder(self, path: str) -> None:
        api.need(self._engine, api.Folders).remove_folder(path)

    def create_snapshot(self, dataset: str, name: str) -> None:
        api.need(self._engine, api.Snapshots).create_snapshot(dataset, name)

    def remove_snapshot(self, dataset: str, name: str) -> None:
        api.need(self._engine, api.Snapshots).remove_snapshot(dataset, name)

    def changes(self, dataset: str, before: str) -> Told:
        feed = api.need(self._engine, api.Changes).changes(dataset, before, None)
        return {(one.kind.value, one.path, one.source_path) for one in feed}

    def read(self, path: str, offset: int, length: int | None) -> bytes:
        with self._engine.data.get(path, offset=offset, length=length) as stream:
            return stream.read()

    def listing(self) -> Listing:
        """By direct children, held against what the recursive listings say."""
        found: Listing = {}
        snapshots = [one.path + "/" + objects.SNAPSHOT_FOLDER for one in self._opened.spec.datasets]
        for top in ("/", *snapshots):
            below = self._below(top)
            walked = [(one.path, one.size_bytes) for one in self._engine.data.list_objects(top)]
            assert walked == [(path, size) for path, size in below.items() if size is not None]
            found |= below
        return found

    def reopen(self) -> None:
        self._opened.reopen()

    def close(self) -> None:
        self._opened.engine.close()

    def _below(self, folder: str) -> Listing:
        found: Listing = {}
        for one in self._engine.data.list_objects(folder, recursive=False):
            if one.kind is objects.ObjectKind.FOLDER:
                found[one.path] = None
                found |= self._below(one.path)
            else:
                found[one.path] = one.size_bytes
        return found


def memory_oracle(asked: spec.Spec) -> Subject:
    engine = memory.MemoryEngine(asked)
    engine.open()

    def again() -> api.Engine:
        engine.open()
        return engine

    return OfEngine(engines.Opened(spec=asked, engine=engine, again=again))


class DictOracle:
    """The contract told once more, over one flat dict: path to (identity, bytes), None for folders.

    For the memory engine, which cannot be its own oracle.
    """

    def __init__(self, asked: spec.Spec) -> None:
        self._datasets = {one.path: one for one in asked.datasets}
        self._held: dict[str, tuple[int, bytes] | None] = {"/": None}
        self._snapshots: dict[str, dict[str, tuple[int, bytes] | None]] = {}
        self._identities = 0
        for path in self._datasets:
            self._add_folders(path)

    def put(self, path: str, content: bytes, *, overwrite: bool) -> None:
        dataset = self._writable(path)
        if path in self._held and self._held[path] is None:
            raise No("object.is_folder")
        self._check_above(path)
        if path in self._held and not overwrite:
            raise No("object.exists")
        self._store(dataset, path, content)

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> list[str]:
        told = []
        for path, content in items:
            try:
                self.put(path, content, overwrite=False)
                told.append("done")
            except No as refusal:
                told.append(refusal.code)
        return told

    def append(self, path: str, content: bytes, at_size: int | None) -> None:
        dataset = self._writable(path)
        if dataset.protection.scheme is topology.Scheme.ERASURE:
            raise No("append.erasure")
        old = self._object(path)[1]
        if at_size is not None and at_size != len(old):
            raise No("append.size_changed")
        if content:
            self._store(dataset, path, old + content)

    def rename(self, source: str, target: str) -> None:
        old, new = self._writable(source), self._writable(target)
        if source == old.path or target == new.path:
            raise No("dataset.is_root")
        if old is not new:
            raise No("rename.across_datasets")
        if source not in self._held:
            raise No("object.not_found")
        if source == target:
            return
        if target.startswith(source + "/"):
            raise No("rename.into_itself")
        if target in self._held:
            raise No("object.exists")
        self._check_above(target)
        moved = {path: self._held.pop(path) for path in self._at_or_below(source)}
        self._add_folders(objects.parent_of(target))
        self._held |= {target + path.removeprefix(source): held for path, held in moved.items()}

    def delete(self, path: str, *, recursive: bool) -> None:
        self._removable(path)
        gone = self._at_or_below(path)
        if len(gone) > 1 and not recursive:
            raise No("folder.not_empty")
        for one in gone:
            del self._held[one]

    def make_folder(self, path: str) -> None:
        if path in self._held and self._held[path] is None:
            return
        self._writable(path)
        if path in self._held:
            raise No("object.exists")
        self._check_above(path)
        self._add_folders(path)

    def remove_folder(self, path: str) -> None:
        self._removable(path)
        if self._held[path] is not None:
            raise No("folder.is_object")
        if len(self._at_or_below(path)) > 1:
            raise No("folder.not_empty")
        del self._held[path]

    def create_snapshot(self, dataset: str, name: str) -> None:
        top = self._top(dataset)
        root = f"{top}/.snapshot/{name}"
        if root in self._snapshots:
            raise No("snapshot.exists")
        self._snapshots[root] = {
            root + path.removeprefix(top): self._held[path] for path in self._at_or_below(top)
        }

    def remove_snapshot(self, dataset: str, name: str) -> None:
        if self._snapshots.pop(f"{self._top(dataset)}/.snapshot/{name}", None) is None:
            raise No("snapshot.not_found")

    def changes(self, dataset: str, before: str) -> Told:
        top = self._top(dataset)
        root = f"{top}/.snapshot/{before}"
        if root not in self._snapshots:
            raise No("snapshot.not_found")
        frozen = self._snapshots[root].items()
        old = {top + path.removeprefix(root): held[0] for path, held in frozen if held is not None}
        now = {path: self._held[path] for path in self._at_or_below(top)}
        new = {path: held[0] for path, held in now.items() if held is not None}
        lost = {number: path for path, number in old.items() if path not in new}
        told: Told = set()
        for path, number in new.items():
            if path in old:
                if old[path] != number:
                    told.add(("modified", path, None))
            elif number in lost:
                told.add(("renamed", path, lost.pop(number)))
            else:
                told.add(("created", path, None))
        return told | {("deleted", path, None) for path in lost.values()}

    def read(self, path: str, offset: int, length: int | None) -> bytes:
        whole = self._object(path)[1]
        return whole[offset : None if length is None else offset + length]

    def listing(self) -> Listing:
        every = {path: held for path, held in self._held.items() if path != "/"}
        for frozen in self._snapshots.values():
            every |= frozen
        return {path: None if held is None else len(held[1]) for path, held in every.items()}

    def reopen(self) -> None:
        """A dict is always open."""

    def close(self) -> None:
        """And never closed."""

    def _dataset_of(self, path: str) -> spec.DatasetSpec | None:
        found = (one for top, one in self._datasets.items() if (path + "/").startswith(top + "/"))
        return next(found, None)

    def _writable(self, path: str) -> spec.DatasetSpec:
        dataset = self._dataset_of(path)
        if dataset is None:
            raise No("dataset.none")
        if (path + "/").startswith(dataset.path + "/.snapshot/"):
            raise No("snapshot.read_only")
        return dataset

    def _removable(self, path: str) -> None:
        if self._writable(path).path == path:
            raise No("dataset.is_root")
        if path not in self._held:
            raise No("object.not_found")

    def _object(self, path: str) -> tuple[int, bytes]:
        every = dict(self._held)
        for root, frozen in self._snapshots.items():
            every |= {**frozen, objects.parent_of(root): None}
        every |= {f"{top}/.snapshot": None for top in self._datasets}
        held = every.get(path, (0, b""))
        if held is None:
            raise No("object.is_folder")
        if path not in every:
            raise No(self._missing_code(path))
        return held

    def _missing_code(self, path: str) -> str:
        dataset = self._dataset_of(path)
        if dataset is not None and path.startswith(dataset.path + "/.snapshot/"):
            name = path.removeprefix(dataset.path + "/.snapshot/").split("/")[0]
            if f"{dataset.path}/.snapshot/{name}" not in self._snapshots:
                return "snapshot.not_found"
        return "object.not_found"

    def _check_above(self, path: str) -> None:
        above = objects.parent_of(path)
        while above != "/":
            if self._held.get(above) is not None:
                raise No("object.parent_is_object")
            above = objects.parent_of(above)

    def _store(self, dataset: spec.DatasetSpec, path: str, content: bytes) -> None:
        below = [self._held[one] for one in self._at_or_below(dataset.path)]
        used = sum(len(held[1]) for held in below if held is not None)
        old = self._held.get(path)
        grown = len(content) - (0 if old is None else len(old[1]))
        quota = dataset.quota_bytes
        if quota is not None and grown > 0 and used + grown > quota:
            raise No("quota.full")
        self._add_folders(objects.parent_of(path))
        self._identities += 1
        self._held[path] = (self._identities, content)

    def _add_folders(self, path: str) -> None:
        while path not in self._held:
            self._held[path] = None
            path = objects.parent_of(path)

    def _at_or_below(self, path: str) -> list[str]:
        return [one for one in self._held if one == path or one.startswith(path + "/")]

    def _top(self, dataset: str) -> str:
        for path, one in self._datasets.items():
            if one.name == dataset:
                return path
        raise No("dataset.not_found")
