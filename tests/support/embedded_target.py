"""The embedded engine as a target of the crash harness and of its sibling tools.

Small shards and segments, so that short histories pass every kind of step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from holdfast import errors
from holdfast.engines import api
from holdfast.engines.embedded import engine as embedded
from holdfast.model import spec, topology
from tests.support import embedded as stores
from tests.support.workload import Op, View, batch_items, content, content_id

DATA = "/data"
MEDIA = "/media"
STATE = "state"
"""Of the store's folder: what may be lost without loss."""

_DATASETS = (
    spec.DatasetSpec(name="data", path=DATA, protection=topology.replicas(3)),
    spec.DatasetSpec(name="media", path=MEDIA, protection=topology.erasure(4, 2),
                     profile=spec.Profile.MEDIA),
)
TUNING = embedded.Tuning(
    shard_bytes={spec.Profile.GENERAL: 256 << 10, spec.Profile.MEDIA: 512 << 10,
                 spec.Profile.RECORDS: 256 << 10},
    segment_bytes_max=64 << 10,
    node_deadline_s=5.0,
    lock_wait_s=10.0,
)


def specification(folder: Path) -> spec.Spec:
    """Six nodes on three shelves, one dataset of each protection."""
    asked = spec.Spec(
        cluster="crash", file="", engine=spec.EngineSpec(kind="embedded"), datasets=_DATASETS
    )
    return stores.with_nodes(folder, asked)


def prepare(folder: Path) -> Path:
    """An empty store in `folder`, closed."""
    made = embedded.EmbeddedEngine(specification(folder), tuning=TUNING)
    stores.prepare(made)
    made.close()
    return folder


class EmbeddedTarget:
    """A store opened in this process."""

    def __init__(self, folder: str, tuning: embedded.Tuning = TUNING) -> None:
        self.engine = embedded.EmbeddedEngine(specification(Path(folder)), tuning=tuning)
        self.engine.open()

    def apply(self, op: Op) -> Iterator[None]:
        """Carry out one operation; of a batch yields as each item is acknowledged."""
        if op.verb == "put":
            self.engine.put(op.path, content(op.seed, op.size), overwrite=True)
        elif op.verb == "batch":
            items = [api.PutItem(path=path, source=data, overwrite=True)
                     for path, data in batch_items(op)]
            for answer in self.engine.put_many(items):
                if isinstance(answer, errors.HoldfastError):
                    raise answer
                yield
        elif op.verb == "append":
            self.engine.append(op.path, content(op.seed, op.size))
        else:
            self._change(op)

    def view(self) -> View:
        """Everything that can be read, snapshots too."""
        seen: View = {}
        for dataset in _DATASETS:
            roots = [dataset.path]
            roots += [one.root for one in self.engine.snapshots(dataset.name)]
            for root in roots:
                for info in self.engine.list_objects(root):
                    with self.engine.get(info.path) as source:
                        seen[info.path] = content_id(source.read())
        return seen

    def close(self) -> None:
        self.engine.close()

    def _change(self, op: Op) -> None:
        if op.verb == "rename":
            self.engine.rename(op.path, op.target)
        elif op.verb == "delete":
            self.engine.delete(op.path, recursive=op.recursive)
        elif op.verb in ("snapshot", "unsnapshot"):
            dataset, _, name = op.path.strip("/").partition("/.snapshot/")
            act = (self.engine.create_snapshot if op.verb == "snapshot"
                   else self.engine.remove_snapshot)
            act(dataset, name)
        elif op.verb == "collect":
            self.engine.collect_garbage()
        else:
            raise ValueError(op.verb)


def open_with_images(folder: str) -> EmbeddedTarget:
    """Takes an image of the index, and truncates the log, after every few commits."""
    return EmbeddedTarget(folder, dataclasses.replace(TUNING, image_after_bytes=100))
