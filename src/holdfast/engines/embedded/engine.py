"""The embedded engine behind the contract of engines.api: data plane, control plane, extras."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from holdfast import errors
from holdfast.engines import api, refusals
from holdfast.engines.embedded import (
    appending,
    attributes,
    batching,
    changes,
    collect,
    compact,
    export,
    index,
    listing,
    names,
    observe,
    plan,
    prepare,
    reading,
    session,
    snapshots,
    store,
    writing,
)
from holdfast.model import objects, observation, outcome, snapshot, spec
from holdfast.model import plan as plans

Tuning = session.Tuning
COLLECT_EVERY = 64  # changes that free something, after which some garbage is collected
COLLECT_AT_CLOSE = 8  # rounds of collection when a store is closed

CAPABILITIES = api.Capabilities(
    redundancy=api.Doer.HOLDFAST, scrub=api.Doer.NOBODY, heal=api.Doer.NOBODY,
    rebalance=api.Doer.NOBODY, snapshot=api.Doer.HOLDFAST, erasure=api.Doer.HOLDFAST,
    quota=api.Doer.HOLDFAST, append=api.Doer.HOLDFAST, durability=api.Durability.SYNCED,
    atomic_rename=True, folders=True, attributes=attributes.KEPT)


class EmbeddedEngine:
    """Thread-safe; any number of processes of one machine may have the same store open."""

    capabilities = CAPABILITIES

    def __init__(
        self, wanted: spec.Spec, *, read_only: bool = False, tuning: Tuning | None = None
    ) -> None:
        self.wanted = wanted
        self.read_only = read_only
        self._tuning = tuning or Tuning()
        self._session: session.Session | None = None
        self._lock = threading.RLock()
        self._freed = 0

    @property
    def data(self) -> EmbeddedEngine:
        return self

    @property
    def control(self) -> EmbeddedEngine:
        return self

    # --- life -----------------------------------------------------------------------------------

    def open(self) -> None:
        index.assert_library()
        with self._lock:
            if self._session is not None:
                return
            found = store.find(self.wanted)
            store.check_access(found)
            if found.store is None:
                raise errors.NotInitialisedError(
                    "store.not_initialised", "there is no store at the nodes of {file} yet",
                    hint="look at what would be done with holdfast plan, then: holdfast apply",
                    file=self.wanted.file,
                )
            opened = session.Session(
                self.wanted, found, read_only=self.read_only, tuning=self._tuning)
            opened.open()
            self._session = opened

    def close(self) -> None:
        with self._lock:
            opened, self._session = self._session, None
        if opened is None:
            return
        if opened.pid != os.getpid():
            opened.forget()
            return
        if not self.read_only and self._freed:
            with contextlib.suppress(errors.HoldfastError):
                compact.tidy(opened)
                for _ in range(COLLECT_AT_CLOSE):
                    if not collect.collect(opened):
                        break
        self._freed = 0
        opened.close()

    def opened(self) -> session.Session:
        """The open store, opened anew in the child of a fork. Raises RefusedError when closed."""
        found = self._session
        if found is None:
            raise refusals.closed(self.wanted.cluster)
        if found.pid == os.getpid():
            return found
        self._lock = threading.RLock()
        found.forget()
        self._session = None
        self.open()
        return cast(session.Session, self._session)

    # --- data plane ---------------------------------------------------------------------------

    def put(
        self, path: str, source: api.Source, *, size: int | None = None, overwrite: bool = False,
        attributes: objects.Attributes | None = None,
    ) -> objects.ObjectInfo:
        opened = self._for_writing()
        path = objects.check_path(path)
        change = writing.put(opened, api.PutItem(
            path=path, source=source, size=size, overwrite=overwrite, attributes=attributes))
        if overwrite:
            self._note_freed()
        return export.info_of_put(opened, path, change)

    def get(
        self, path: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> AbstractContextManager[BinaryIO]:
        refusals.check_range(offset, length)
        opened = self.opened()
        with _told_if_incomplete(opened):
            return cast(BinaryIO, reading.open_range(
                opened, objects.check_path(path), offset, length, version))

    def stat(self, path: str) -> objects.ObjectInfo:
        opened = self.opened()
        with _told_if_incomplete(opened):
            return listing.stat(opened, objects.check_path(path))

    def list_objects(self, prefix: str, *, recursive: bool = True) -> Iterator[objects.ObjectInfo]:
        opened = self.opened()
        with _told_if_incomplete(opened):
            found = listing.list_objects(opened, objects.check_path(prefix), recursive=recursive)
        return _to_the_end(opened, found)

    def rename(self, source: str, target: str) -> None:
        opened = self._for_writing()
        source, target = objects.check_path(source), objects.check_path(target)
        dataset = writing.writable(opened, source)
        other = writing.writable(opened, target)
        for path, one in ((source, dataset), (target, other)):
            if path == one.path:
                raise refusals.dataset_root(path, one.name)
        if dataset.number != other.number:
            raise refusals.across_datasets(source, target)
        opened.committer.run(changes.Rename(dataset, source, target))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        self._delete(path, recursive=recursive, folder_only=False)

    # --- control plane --------------------------------------------------------------------------

    def observe(self, deadline: api.Deadline) -> observation.Observation:
        found = self._session
        if found is None:
            looks = store.find(self.wanted)
            if looks.store is None:
                return observe.uninitialised(self.wanted, looks)
            self.open()
        return observe.observe(self.wanted, self.opened(), deadline)

    def plan(self, desired: spec.Spec, observed: observation.Observation) -> plans.Plan:
        return plan.plan(desired, observed)

    def execute(self, step: plans.Step, deadline: api.Deadline) -> outcome.Outcome:
        try:
            self._execute(step, deadline)
        except errors.RefusedError as error:
            return outcome.Outcome(
                kind=outcome.OutcomeKind.REFUSED, code=error.code, message=str(error))
        except errors.HoldfastError as error:
            return outcome.Outcome(
                kind=outcome.OutcomeKind.FAILED, code=error.code, message=str(error))
        return outcome.Outcome(kind=outcome.OutcomeKind.DONE, done=1, total=1, unit="steps")

    # --- extras -------------------------------------------------------------------------------

    def create_snapshot(self, dataset: str, name: str) -> snapshot.SnapshotInfo:
        return snapshots.create(self._for_writing(), dataset, name)

    def remove_snapshot(self, dataset: str, name: str) -> None:
        snapshots.remove(self._for_writing(), dataset, name)
        self._note_freed()

    def snapshots(self, dataset: str) -> tuple[snapshot.SnapshotInfo, ...]:
        return snapshots.list_all(self.opened(), dataset)

    def changes(self, dataset: str, before: str, after: str | None) -> Iterator[objects.Change]:
        return snapshots.diff(self.opened(), dataset, before, after)

    def put_many(
        self, items: Iterable[api.PutItem]
    ) -> Iterator[objects.ObjectInfo | errors.HoldfastError]:
        opened = self._for_writing()
        for one in batching.put_many(opened, items):
            if isinstance(one, errors.HoldfastError):
                yield one
            else:
                put = cast(changes.Put, one)
                yield export.info_of_put(opened, put.path, put)

    def append(
        self, path: str, source: api.Source, *, at_size: int | None = None
    ) -> objects.ObjectInfo:
        opened = self._for_writing()
        path = objects.check_path(path)
        if appending.append(opened, path, source, at_size=at_size):
            self._note_freed()
        return listing.stat(opened, path)

    def make_folder(self, path: str) -> None:
        opened = self._for_writing()
        path = objects.check_path(path)
        above = path.rstrip("/") + "/"
        datasets = opened.catalog.read(names.datasets)
        if path == "/" or any(one.path.startswith(above) for one in datasets):
            return
        dataset = writing.writable(opened, path)
        if path != dataset.path:
            opened.committer.run(changes.MakeFolder(dataset, path))

    def remove_folder(self, path: str) -> None:
        self._delete(path, recursive=False, folder_only=True)

    def shards(self, path: str, version: str | None = None) -> Iterator[objects.Shard]:
        return export.shards(self.opened(), objects.check_path(path), version)

    def export_metadata(self) -> Iterator[Mapping[str, object]]:
        return export.metadata(self.opened(), self.wanted.cluster)

    def rebuild_index(self) -> Mapping[str, object]:
        """Make the index anew from the commit log."""
        opened = self._for_writing()
        sequence, frames = opened.catalog.rebuild()
        return {"commit": sequence, "frames": frames, "path": str(opened.catalog.path)}

    def collect_garbage(self) -> int:
        """Free what nothing refers to, and compact segments; how many shards or segments."""
        opened = self._for_writing()
        freed = collect.collect_all(opened)
        compact.compact(opened)
        return freed + collect.collect_all(opened)

    # --- inside -------------------------------------------------------------------------------

    def _for_writing(self) -> session.Session:
        opened = self.opened()
        if self.read_only:
            raise errors.RefusedError(
                "engine.read_only", "the store was opened for reading only",
                hint="open it without read_only to change it",
            )
        return opened

    def _delete(self, path: str, *, recursive: bool, folder_only: bool) -> None:
        opened = self._for_writing()
        path = objects.check_path(path)
        dataset = writing.writable(opened, path)
        opened.committer.run(changes.Delete(
            dataset, path, recursive=recursive, folder_only=folder_only))
        self._note_freed()

    def _note_freed(self) -> None:
        """Collect a little now and then, so that space comes back without being asked for."""
        self._freed += 1
        if self._freed % COLLECT_EVERY == 0:
            with contextlib.suppress(errors.UnavailableError):
                compact.let_go_of_dead(self.opened())
                collect.collect(self.opened())

    def _execute(self, step: plans.Step, deadline: api.Deadline) -> None:
        if step.verb == plan.CREATE_STORE:
            self._create_store(step)
        elif step.verb == plan.ADD_NODE:
            self._add_node(step, deadline)
        elif step.verb in (plan.CREATE_DATASET, plan.CHANGE_DATASET):
            self.open()
            prepare.create_dataset(self._for_writing(), step)
        else:
            raise errors.RefusedError(
                "step.unknown", "the embedded engine knows no step {verb}", verb=step.verb,
                hint="make a new plan: holdfast plan",
            )

    def _create_store(self, step: plans.Step) -> None:
        looks = store.find(self.wanted)
        if looks.store is None:
            observed = observe.uninitialised(self.wanted, looks)
            bad = next((one for one in observed.nodes
                        if one.health is not observation.Health.NEW), None)
            if bad is not None:
                raise errors.RefusedError(
                    "node.not_usable", "node {node} at {path} cannot be used ({reason})",
                    hint="holdfast plan says what to do about it", node=bad.name, path=bad.path,
                    reason=bad.reason,
                )
            prepare.create_store(self.wanted, observed, int(str(step.fields["tolerated"])))
        self.open()

    def _add_node(self, step: plans.Step, deadline: api.Deadline) -> None:
        self.open()
        observed = self.observe(deadline)
        found = next(one for one in observed.nodes if one.name == step.target)
        if found.state != "new":
            return  # it was added before
        node = next(one for one in self.wanted.engine.nodes if one.name == step.target)
        weight = node.weight_bytes or int(found.capacity_bytes.value or 1)
        prepare.add_node(self._for_writing(), node, self.wanted.cluster, weight)
        self.close()
        self.open()



@contextlib.contextmanager
def _told_if_incomplete(opened: session.Session) -> Iterator[None]:
    """What is not found may be hidden by damage to the commit log: then that is the answer."""
    try:
        yield
    except errors.NotFoundError as error:
        hidden = _hiding(opened)
        if hidden is not None:
            raise hidden from error
        raise


def _to_the_end(
    opened: session.Session, found: Iterator[objects.ObjectInfo]
) -> Iterator[objects.ObjectInfo]:
    """A listing from which damage to the commit log hides something ends with that error."""
    yield from found
    hidden = _hiding(opened)
    if hidden is not None:
        raise hidden


def _hiding(opened: session.Session) -> errors.HoldfastError | None:
    """The damage behind which there are commits that could not be read; not that of a log which
    ends before an index that knows all of it."""
    error = opened.catalog.incomplete
    return error if error is not None and error.code == "log.gap" else None
