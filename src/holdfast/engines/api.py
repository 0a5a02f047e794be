"""The contract of every engine: eleven methods, and extras found through `extra`.

Methods block and are thread-safe. An engine that lacks an extra simply does not implement its
protocol; nothing raises NotImplementedError. `tests/conformance` runs one suite over all engines.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar, cast, runtime_checkable

from holdfast import errors
from holdfast.kit import clock
from holdfast.model import objects, observation, outcome, plan, snapshot, spec

Source = BinaryIO | bytes | bytearray | memoryview
Deadline = clock.Deadline
Step = plan.Step


class Doer(enum.Enum):
    """Who does a thing: HOLDFAST works; ENGINE is asked, awaited and verified; NOBODY."""

    HOLDFAST = "holdfast"
    ENGINE = "engine"
    NOBODY = "nobody"


class Durability(enum.Enum):
    """What an acknowledged put means."""

    SYNCED = "synced"
    ACCEPTED_BY_ALL = "accepted_by_all"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    redundancy: Doer
    scrub: Doer
    heal: Doer
    rebalance: Doer
    snapshot: Doer
    erasure: Doer
    quota: Doer
    append: Doer
    durability: Durability
    atomic_rename: bool
    folders: bool
    attributes: frozenset[str]


class DataPlane(Protocol):
    def put(
        self,
        path: str,
        source: Source,
        *,
        size: int | None = None,
        overwrite: bool = False,
        attributes: objects.Attributes | None = None,
    ) -> objects.ObjectInfo:
        """Store `source` until its end (with `size`: exactly that many bytes) as `path`.

        Visible at once, and only when every piece is durable; fewer (never fewer than a quorum)
        only when a target failed and no spare exists, and `margin` then says so. Missing parent
        folders inside a dataset are made. Without `overwrite` an atomic create. A failure leaves
        nothing visible.

        Raises RefusedError (`object.exists`, `quota.full`, `space.full`, `object.is_folder`,
        `dataset.none`, `snapshot.read_only`), PlacementError, UnavailableError.
        """

    def get(
        self, path: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> AbstractContextManager[BinaryIO]:
        """Verified bytes, `readinto`-able. A range beyond the end is cut; offset beyond it: empty.

        Raises NotFoundError, RefusedError (`object.is_folder`; `object.changed` when `version` is
        no longer current), IntegrityError when too few pieces are good, UnavailableError.
        """

    def stat(self, path: str) -> objects.ObjectInfo:
        """Raises NotFoundError."""

    def list_objects(self, prefix: str, *, recursive: bool = True) -> Iterator[objects.ObjectInfo]:
        """What lies under a folder (or the object itself), lazily, in the order of a tree walk.

        `prefix` is whole components. recursive: objects only (no folders); otherwise the
        direct children, folders too. Nothing there: NotFoundError, except for `/`.
        """

    def rename(self, source: str, target: str) -> None:
        """Raises NotFoundError, RefusedError (`object.exists`, `rename.across_datasets`)."""

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Raises NotFoundError, RefusedError (`folder.not_empty`)."""


class ControlPlane(Protocol):
    def observe(self, deadline: Deadline) -> observation.Observation:
        """Changes nothing; bounded."""

    def plan(self, desired: spec.Spec, observed: observation.Observation) -> plan.Plan:
        """Pure. Empty means converged."""

    def execute(self, step: Step, deadline: Deadline) -> outcome.Outcome:
        """Idempotent: works until the deadline, then done, waiting, refused or failed."""


class Engine(Protocol):
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def data(self) -> DataPlane: ...
    @property
    def control(self) -> ControlPlane: ...
    def open(self) -> None:
        """Ready the engine; writes nothing. Raises NotInitialisedError, UnavailableError, AuthError."""

    def close(self) -> None: ...


@runtime_checkable
class Snapshots(Protocol):
    def create_snapshot(self, dataset: str, name: str) -> snapshot.SnapshotInfo: ...
    def remove_snapshot(self, dataset: str, name: str) -> None: ...
    def snapshots(self, dataset: str) -> tuple[snapshot.SnapshotInfo, ...]: ...


@runtime_checkable
class Changes(Protocol):
    def changes(self, dataset: str, before: str, after: str | None) -> Iterator[objects.Change]:
        """Between two snapshots by name; `after` None: now. A base that is gone: NotFoundError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutItem:
    path: str
    source: Source
    size: int | None = None
    overwrite: bool = False
    attributes: objects.Attributes | None = None


@runtime_checkable
class BatchPut(Protocol):
    def put_many(
        self, items: Iterable[PutItem]
    ) -> Iterator[objects.ObjectInfo | errors.HoldfastError]:
        """One answer an item, in the order of the items, each given when that item is durable."""


@runtime_checkable
class Append(Protocol):
    def append(
        self, path: str, source: Source, *, at_size: int | None = None
    ) -> objects.ObjectInfo:
        """Add to an object, atomically; `at_size` other than the size now: RefusedError
        (`append.size_changed`). On erasure: RefusedError (`append.erasure`)."""


@runtime_checkable
class Folders(Protocol):
    def make_folder(self, path: str) -> None:
        """With its parents; a folder that is there already is fine. RefusedError for an object."""

    def remove_folder(self, path: str) -> None:
        """An empty one only."""


@runtime_checkable
class Shards(Protocol):
    def shards(self, path: str, version: str | None = None) -> Iterator[objects.Shard]: ...


@runtime_checkable
class Metadata(Protocol):
    def export_metadata(self) -> Iterator[Mapping[str, object]]:
        """Names, attributes and layout as JSON-able records, first a header with the format."""


E_co = TypeVar("E_co")


def extra(engine: Engine, protocol: type[E_co]) -> E_co | None:
    """The engine as `protocol`, or None when it does not offer it."""
    return cast(E_co, engine) if isinstance(engine, protocol) else None


def need(engine: Engine, protocol: type[E_co]) -> E_co:
    """Like `extra`, but RefusedError where the engine lacks it."""
    found = extra(engine, protocol)
    if found is None:
        raise errors.RefusedError(
            "engine.no_extra", "this engine does not offer {extra}",
            hint="holdfast explain placement says what each engine can do",
            extra=protocol.__name__.lower(),
        )
    return found
