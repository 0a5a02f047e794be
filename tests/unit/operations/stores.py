"""Stores for the tests of operations: the memory engine, and wrappers that fail or count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from holdfast.engines import api, memory
from holdfast.kit import clock
from holdfast.model import spec, topology
from holdfast.operations import context

DATASETS = (
    spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(1)),
    spec.DatasetSpec(name="other", path="/other", protection=topology.replicas(1)),
    spec.DatasetSpec(
        name="tiny", path="/tiny", protection=topology.replicas(1), quota_bytes=300_000
    ),
)


def make(
    *,
    datasets: Sequence[spec.DatasetSpec] = DATASETS,
    progress: Callable[[context.Progress], None] = context.ignore_progress,
    wrap: Callable[[api.Engine], api.Engine] = lambda engine: engine,
    time: clock.Clock = clock.SYSTEM,
) -> context.Context:
    wanted = spec.Spec(
        cluster="test", file="/test/holdfast.yaml", engine=spec.EngineSpec(kind="memory"),
        datasets=tuple(datasets),
    )
    engine = memory.MemoryEngine(wanted)
    engine.open()
    return context.Context(
        engine=wrap(engine), spec=wanted, progress=progress, cancel=threading.Event(), clock=time
    )
