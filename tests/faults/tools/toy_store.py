"""Tiny stores on which the crash harness is proven: one that is right, and some that are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from holdfast.kit import atomic
from tests.support.workload import Op, View, batch_items, content, content_id


class RightStore:
    """A file for each content and one table of names, replaced as a whole: publish last."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._table = self._folder / "table"
        if not self._table.exists():
            atomic.write_file(self._table, b"{}", point="toy.init")
        self._names: dict[str, str] = json.loads(self._table.read_text())

    def apply(self, op: Op) -> Iterator[None]:
        if op.verb == "put":
            self._put(op.path, content(op.seed, op.size))
        elif op.verb == "batch":
            for path, data in batch_items(op):
                self._put(path, data)
                yield
        elif op.verb == "delete":
            self._delete(op.path)
        elif op.verb == "rename":
            self._rename(op.path, op.target)

    def view(self) -> View:
        return {
            path: content_id((self._folder / name).read_bytes())
            for path, name in self._names.items()
        }

    def close(self) -> None:
        self._names = {}

    def _put(self, path: str, data: bytes) -> None:
        name = content_id(data).replace(":", "-")
        atomic.write_file(self._folder / name, data, point="toy.data")
        self._names[path] = name
        self._publish()

    def _delete(self, path: str) -> None:
        name = self._names.pop(path)
        self._publish()
        if name not in self._names.values():
            atomic.remove(self._folder / name, point="toy.free")

    def _rename(self, source: str, target: str) -> None:
        self._names[target] = self._names.pop(source)
        self._publish()

    def _publish(self) -> None:
        atomic.write_file(self._table, json.dumps(self._names).encode(), point="toy.table")


class NamesFirstStore(RightStore):
    """Publishes the name before the data."""

    def _put(self, path: str, data: bytes) -> None:
        name = content_id(data).replace(":", "-")
        self._names[path] = name
        self._publish()
        atomic.write_file(self._folder / name, data, point="toy.data")


class FreesFirstStore(RightStore):
    """Frees the data before the name is gone."""

    def _delete(self, path: str) -> None:
        atomic.remove(self._folder / self._names.pop(path), point="toy.free")
        self._publish()


class HalfRenameStore(RightStore):
    """Renames in two commits."""

    def _rename(self, source: str, target: str) -> None:
        self._names[target] = self._names[source]
        self._publish()
        del self._names[source]
        self._publish()


class EarlyAnswerStore(RightStore):
    """Acknowledges puts that only the next operation makes durable."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._waiting: list[tuple[str, bytes]] = []

    def apply(self, op: Op) -> Iterator[None]:
        for path, data in self._waiting:
            super()._put(path, data)
        self._waiting = []
        yield from super().apply(op)

    def view(self) -> View:
        for path, data in self._waiting:
            super()._put(path, data)
        return super().view()

    def _put(self, path: str, data: bytes) -> None:
        self._waiting.append((path, data))


class ForgetfulStore(RightStore):
    """Does not survive its recovery: opening removes the table and writes it again."""

    def __init__(self, folder: str) -> None:
        table = Path(folder) / "table"
        if table.exists():
            old = table.read_bytes()
            atomic.remove(table, point="toy.reopen.remove")
            atomic.write_file(table, old, point="toy.reopen.write")
        super().__init__(folder)
