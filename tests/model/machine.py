"""The machine: few names and few sizes, so that everything meets everything.

After each step both sides must have answered alike and list alike; contents are compared in full
now and then, and at the end.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import ClassVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast import errors
from holdfast.model import objects, spec
from tests.conformance import engines, tools
from tests.model import subjects

NAMES = ("a", "b", "a-", "é")
SNAPSHOTS = ("s", "t")
DATASETS = ("data", "data", "data", "kept", "coded", "tight")
# Empty, tiny, a few blocks, and beyond what counts as small; the last two meet the quota.
SIZES = (0, 1, 10, 4097, 66_000, 140_000)
ODD = (
    "/", "/elsewhere/a", "/limited", "/limited/a", "/data/.snapshot", "/data/.snapshot/s",
    "/data/.snapshot/s/a", "/data/.snapshot/t/a/b", "/kept/.snapshot/s/b", "/data", "/kept",
)  # fmt: skip


def below(top: str, depth: int) -> list[str]:
    """Every path of so many of the names."""
    return [top + "".join("/" + name for name in names) for names in product(NAMES, repeat=depth)]


PATHS = (
    *below("/data", 1) * 8,
    *below("/data", 2) * 2,
    *below("/data/a/b", 1),
    *below("/kept", 1),
    *below("/kept/a", 1),
    *below("/coded", 1),
    *below("/limited/tight", 1) * 3,
    *ODD,
)

paths = st.sampled_from(PATHS)
contents = st.builds(tools.content, st.sampled_from(SIZES), st.integers(0, 3))
datasets = st.sampled_from(DATASETS)
snapshots = st.sampled_from(SNAPSHOTS)


class StoreMachine(RuleBasedStateMachine):
    """Subclasses say which engine is driven, and against which oracle."""

    factory: ClassVar[engines.Factory]
    oracle_of: ClassVar[Callable[[spec.Spec], subjects.Subject]]

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-machine-"))
        opened = type(self).factory(self._folder, engines.wanted())
        self._driven: subjects.Subject = subjects.OfEngine(opened)
        self._oracle = type(self).oracle_of(opened.spec)
        self._agreed = True

    def teardown(self) -> None:
        try:
            if self._agreed:  # else what was found first is told, not what follows from it
                self.everything_is_the_same()
        finally:
            self._driven.close()
            shutil.rmtree(self._folder)

    @initialize(items=st.lists(st.tuples(paths, contents), min_size=1, max_size=8))
    def begin_with(self, items: list[tuple[str, bytes]]) -> None:
        for path, content in items:
            self.put(path, content, overwrite=False)

    @rule(path=paths, content=contents, overwrite=st.booleans())
    def put(self, path: str, content: bytes, overwrite: bool) -> None:
        self._both(lambda one: one.put(path, content, overwrite=overwrite))

    @rule(items=st.lists(st.tuples(paths, contents), max_size=5))
    def put_many(self, items: list[tuple[str, bytes]]) -> None:
        self._both(lambda one: one.put_many(items))

    @rule(path=paths, content=contents, at_size=st.sampled_from((None, None, 0, 1, 10)))
    def append(self, path: str, content: bytes, at_size: int | None) -> None:
        self._both(lambda one: one.append(path, content, at_size))

    @rule(old=paths, new=paths)
    def rename(self, old: str, new: str) -> None:
        self._both(lambda one: one.rename(old, new))

    @rule(path=paths, recursive=st.booleans())
    def delete(self, path: str, recursive: bool) -> None:
        self._both(lambda one: one.delete(path, recursive=recursive))

    @rule(path=paths)
    def make_folder(self, path: str) -> None:
        self._both(lambda one: one.make_folder(path))

    @rule(path=paths)
    def remove_folder(self, path: str) -> None:
        self._both(lambda one: one.remove_folder(path))

    @rule(dataset=datasets, name=snapshots)
    def create_snapshot(self, dataset: str, name: str) -> None:
        self._both(lambda one: one.create_snapshot(dataset, name))

    @rule(dataset=datasets, name=snapshots)
    def remove_snapshot(self, dataset: str, name: str) -> None:
        self._both(lambda one: one.remove_snapshot(dataset, name))

    @rule(dataset=datasets, before=snapshots)
    def changes(self, dataset: str, before: str) -> None:
        self._both(lambda one: one.changes(dataset, before))

    @rule(
        path=paths,
        offset=st.sampled_from((0, 1, 9, 4096, 65_535, 65_536, 131_072, 10**9)),
        length=st.sampled_from((None, 0, 1, 5000, 70_000, 10**9)),
    )
    def read(self, path: str, offset: int, length: int | None) -> None:
        self._both(lambda one: one.read(path, offset, length))

    @rule()
    def reopen(self) -> None:
        self._both(lambda one: one.reopen())

    @rule()
    def everything_is_the_same(self) -> None:
        for path, size in self._oracle.listing().items():
            if size is not None:
                self.read(path, 0, None)

    @invariant()
    def the_same_names_are_there(self) -> None:
        expected = self._oracle.listing()

        found = self._driven.listing()

        self._agreed = self._agreed and found == expected
        assert found == expected
        live = [path for path in found if f"/{objects.SNAPSHOT_FOLDER}/" not in path]
        assert live == tools.in_listing_order(live)

    def _both(self, act: Callable[[subjects.Subject], object]) -> None:
        expected = _came(self._oracle, act)
        came = _came(self._driven, act)
        self._agreed = self._agreed and came == expected
        assert came == expected


def _came(side: subjects.Subject, act: Callable[[subjects.Subject], object]) -> object:
    """What it gave, or the code with which it was refused."""
    try:
        return act(side)
    except (errors.HoldfastError, subjects.No) as refusal:
        return f"refused: {refusal.code}"
