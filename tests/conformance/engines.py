"""The engines that the suite runs over. To add one, add a factory to `FACTORIES`.

A factory gets an empty folder of its own and a Spec, whose `engine` it may replace (nodes are its
own business) and whose dataset `data` it may protect otherwise, and returns a store that is open.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.engines import api, memory, wrappers
from holdfast.model import spec, topology
from tests.support import embedded

SHARD_BYTES = 1 << 20
QUOTA_BYTES = 200_000


@dataclass
class Opened:
    """A store under test. `again` opens it anew, after its engine was closed.

    `shard_bytes` is the shard size of the dataset `data`; a few MiB at most, so that tests can go
    beyond it.
    """

    spec: spec.Spec
    engine: api.Engine
    again: Callable[[], api.Engine]
    shard_bytes: int = SHARD_BYTES

    def reopen(self) -> api.Engine:
        self.engine.close()
        self.engine = self.again()
        return self.engine


Factory = Callable[[Path, spec.Spec], Opened]


def wanted() -> spec.Spec:
    """What every test works on: `data` for all, `kept` for append, `coded`, and `tight` with a
    quota and a folder above it."""
    three, coded = topology.replicas(3), topology.erasure(2, 1)
    return spec.Spec(
        cluster="conformance",
        file="/nowhere/holdfast.yaml",
        engine=spec.EngineSpec(kind="memory"),
        datasets=(
            spec.DatasetSpec(name="data", path="/data", protection=three),
            spec.DatasetSpec(name="kept", path="/kept", protection=topology.replicas(2)),
            spec.DatasetSpec(name="coded", path="/coded", protection=coded),
            spec.DatasetSpec(
                name="tight", path="/limited/tight", protection=three, quota_bytes=QUOTA_BYTES
            ),
        ),
    )


def plain_memory(_folder: Path, asked: spec.Spec) -> Opened:
    return _in_memory(asked, lambda engine: engine)


def wrapped_memory(_folder: Path, asked: spec.Spec) -> Opened:
    """Through two wrappers, with rates that no test reaches."""
    return _in_memory(
        asked,
        lambda engine: wrappers.Measured(
            wrappers.Throttled(engine, bytes_per_s=1e12, operations_per_s=1e9)
        ),
    )


def embedded_store(folder: Path, asked: spec.Spec) -> Opened:
    """Six folder nodes in three domains, prepared by plan and execute."""
    shard_bytes = dict.fromkeys(spec.Profile, SHARD_BYTES)
    wanted = embedded.with_nodes(folder, asked)

    def again() -> api.Engine:
        return embedded.open_engine(wanted, shard_bytes)

    made = embedded.copied_engine(folder, asked, shard_bytes)
    return Opened(spec=wanted, engine=made, again=again)


def embedded_coded(folder: Path, asked: spec.Spec) -> Opened:
    """The same with the dataset `data` kept as erasure 4+2."""
    coded = tuple(
        dataclasses.replace(one, protection=topology.erasure(4, 2)) if one.name == "data" else one
        for one in asked.datasets
    )
    return embedded_store(folder, dataclasses.replace(asked, datasets=coded))


FACTORIES: Mapping[str, Factory] = {
    "embedded": embedded_store,
    "embedded-coded": embedded_coded,
    "memory": plain_memory,
    "memory-wrapped": wrapped_memory,
}


def _in_memory(asked: spec.Spec, around: Callable[[api.Engine], api.Engine]) -> Opened:
    """What the memory engine holds outlives its close, so it is opened again as it is."""
    shard_bytes = dict.fromkeys(spec.Profile, SHARD_BYTES)
    engine = around(memory.MemoryEngine(asked, shard_bytes=shard_bytes))
    engine.open()

    def again() -> api.Engine:
        engine.open()
        return engine

    return Opened(spec=asked, engine=engine, again=again)
