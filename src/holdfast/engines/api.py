"""The contract of every engine: eleven methods, and extras found through `extra`.

Methods block and are thread-safe. An engine that lacks an extra simply does not implement its
protocol; nothing raises NotImplementedError. `tests/conformance` runs one suite over all engines.

What holds for every verb that takes a path:

- The path is first checked by `objects.check_path` (ConfigError); a slash at its end means nothing.
- Names live in datasets. The folders above them (`/`, and `/videos` for a dataset at `/videos/raw`)
  are there as folders, with the dataset folders in them, and are never changed. A verb that changes
  something is refused outside of all datasets (`dataset.none`, naming them); one that only reads
  finds nothing there (NotFoundError). The folder of a dataset is there from the start, and is
  neither renamed nor removed (`dataset.is_root`).
- `<dataset path>/.snapshot` and all below it is for reading (`snapshot.read_only` otherwise, whether
  it is there or not): stat, get, list and shards work on it as on any folder, and list one folder
  for each snapshot. It is not among the children of the dataset's folder, nor part of a walk from
  above it. Deeper than that, `.snapshot` is a name like any other.
- A refusal is the first that holds in the order in which each method lists them.
- What an iterator refuses, it may refuse at the call or at its first item.
- Nothing at a path: NotFoundError (`object.not_found`; `snapshot.not_found`, `dataset.not_found`).
- An error that a source raises while it is read passes through unchanged, and nothing was changed.
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
        folders inside a dataset are made. Without `overwrite` an atomic create: of racing puts one
        wins. A failure leaves nothing visible, no parent folder either.

        Each put gives the object a version that was never used before, and replaces the attributes
        altogether. `modified_ns` of the object is that of the attributes, or else now.
        The quota counts the bytes of the objects that are there now (snapshots do not count, copies
        and parity neither); a put that makes a dataset no bigger is never refused for it.

        Raises RefusedError (`dataset.none`, `snapshot.read_only`, `object.is_folder` for a folder
        that is there, also the dataset's own, `object.parent_is_object`, `object.exists`,
        `put.size_mismatch` for a source that is shorter or longer than `size`, `quota.full`,
        `space.full`), PlacementError, UnavailableError. What can be judged before the source is
        read may be judged then already, and is judged again when the object is to become visible.
        """

    def get(
        self, path: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> AbstractContextManager[BinaryIO]:
        """Verified bytes, `readinto`-able. A range beyond the end is cut; offset beyond it: empty.

        What was opened is read to its end even when the object is overwritten, renamed or deleted
        meanwhile. It need not be seekable. Errors may come at the call or on entering the block;
        those about bytes also while reading.

        Raises ConfigError (`range.negative`), NotFoundError, RefusedError (`object.is_folder`;
        `object.changed` when `version` is no longer current), IntegrityError when too few pieces
        are good, UnavailableError.
        """

    def stat(self, path: str) -> objects.ObjectInfo:
        """Of an object or folder. A folder has no size, version, digest or margin; its times are
        the engine's own. The version of an object changes with its content and only with it: not by
        a rename, and in a snapshot it is what it was. Raises NotFoundError."""

    def list_objects(self, prefix: str, *, recursive: bool = True) -> Iterator[objects.ObjectInfo]:
        """What lies under a folder (or the object itself), lazily, in the order of a tree walk.

        `prefix` is whole components. recursive: objects only (no folders); otherwise the
        direct children, folders too. Nothing there: NotFoundError, except for `/`.
        The order is that of `objects.components`. A folder is read when the walk comes to it: what
        changes meanwhile may be seen or not; what stays in its place is given exactly once.
        """

    def rename(self, source: str, target: str) -> None:
        """Give an object, or a folder with all below it, another path in its dataset.

        Never overwrites, not even an empty folder. Missing parent folders of the target are made;
        those of the source stay, empty or not. Onto itself: nothing happens, if it is there.
        Versions, attributes and times stay.

        Raises RefusedError (`dataset.none`, `snapshot.read_only`, `dataset.is_root`, each for
        source and target; `rename.across_datasets`), NotFoundError, RefusedError
        (`rename.into_itself` for a target below the source, `object.exists`,
        `object.parent_is_object`).
        """

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """An object, an empty folder, or with `recursive` a folder with all below it. The folder
        above stays, empty or not.

        Raises RefusedError (`dataset.none`, `snapshot.read_only`, `dataset.is_root`),
        NotFoundError, RefusedError (`folder.not_empty`).
        """


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

    def close(self) -> None:
        """Closing twice is fine. Until it is opened again, verbs are refused (`engine.closed`)."""


@runtime_checkable
class Snapshots(Protocol):
    """Of a dataset, given by its name. Unknown: NotFoundError (`dataset.not_found`)."""

    def create_snapshot(self, dataset: str, name: str) -> snapshot.SnapshotInfo:
        """All that the dataset holds at one moment, folders too, readable below `root`.

        Raises ConfigError (`snapshot.bad_name` for an empty name or one with a `/`, and as
        `objects.check_path`), RefusedError (`snapshot.exists`).
        """

    def remove_snapshot(self, dataset: str, name: str) -> None:
        """Its name may be taken again. Raises NotFoundError (`snapshot.not_found`)."""

    def snapshots(self, dataset: str) -> tuple[snapshot.SnapshotInfo, ...]:
        """In the order in which they were created."""


@runtime_checkable
class Changes(Protocol):
    def changes(self, dataset: str, before: str, after: str | None) -> Iterator[objects.Change]:
        """Between two snapshots by name; `after` None: now. A base that is gone: NotFoundError.

        Of objects only, each path at most once, in any order, all as live paths of the dataset:
        MODIFIED: in both, with another version. RENAMED: only in `after`, with the version of an
        object that is only in `before`, at `source_path` (then not told as DELETED). Else CREATED
        or DELETED. The rename of a folder is one RENAMED for each object below it.
        """


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
        """One answer an item, in the order of the items, each given when that item is durable.

        An item that is refused or fails is answered with its error, and the others go on; items
        that come later see the earlier ones. What a source raises that is no HoldfastError, and
        an iteration that is given up, end the batch: what was not answered may be there or not.
        """


@runtime_checkable
class Append(Protocol):
    def append(
        self, path: str, source: Source, *, at_size: int | None = None
    ) -> objects.ObjectInfo:
        """Add to an object that is there, atomically; `at_size` other than the size now:
        RefusedError (`append.size_changed`). On erasure: RefusedError (`append.erasure`).

        The object gets a new version and the time now; its other attributes stay. A source
        without bytes changes nothing. Racing appends all take effect, one after the other; with the
        same `at_size` exactly one does.

        Raises RefusedError (`dataset.none`, `snapshot.read_only`, `append.erasure`), NotFoundError,
        RefusedError (`object.is_folder`, `append.size_changed`, `quota.full`, `space.full`).
        """


@runtime_checkable
class Folders(Protocol):
    def make_folder(self, path: str) -> None:
        """With its parents; a folder that is there already is fine, also one above the datasets.

        Raises RefusedError (`dataset.none`, `snapshot.read_only`, `object.exists` for an object at
        `path`, `object.parent_is_object` for one above it).
        """

    def remove_folder(self, path: str) -> None:
        """An empty one only.

        Raises RefusedError (`dataset.none`, `snapshot.read_only`, `dataset.is_root`),
        NotFoundError, RefusedError (`folder.is_object`, `folder.not_empty`).
        """


@runtime_checkable
class Shards(Protocol):
    def shards(self, path: str, version: str | None = None) -> Iterator[objects.Shard]:
        """In order and without gaps; an empty object has one of no length, or none.

        The digest is `blake3:<hex>` of the bytes of the shard. Raises as `get` does.
        """


@runtime_checkable
class Metadata(Protocol):
    def export_metadata(self) -> Iterator[Mapping[str, object]]:
        """Names, attributes and layout as JSON-able records, first a header with the format.

        The header is `{"format": "holdfast.metadata/1", "engine": ..., "cluster": ...}`. Then each
        record has a `kind`: `dataset`, `snapshot` (with `name`; `root`), `folder` and `object` (with
        `path`; an object with `size_bytes`, `version`, `modified_ns`, `digest`, `attributes`,
        `shards`). What a snapshot holds comes with paths below its root.
        """


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
