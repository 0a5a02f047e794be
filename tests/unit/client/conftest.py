from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.client import filesystem, store
from holdfast.engines import memory
from holdfast.model import spec, topology


@pytest.fixture
def opened() -> Iterator[store.Store]:
    """A store in memory: /data with replicas, /videos with erasure."""
    wanted = spec.Spec(
        cluster="test",
        file="/test/holdfast.yaml",
        engine=spec.EngineSpec(kind="memory"),
        datasets=(
            spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(1)),
            spec.DatasetSpec(name="videos", path="/videos", protection=topology.erasure(4, 2)),
            spec.DatasetSpec(
                name="tiny", path="/tiny", protection=topology.replicas(1), quota_bytes=100
            ),
        ),
    )
    engine = memory.MemoryEngine(wanted)
    engine.open()
    with store.Store(engine, wanted) as found:
        yield found


@pytest.fixture
def fs(opened: store.Store) -> filesystem.HoldfastFileSystem:
    return filesystem.HoldfastFileSystem(store=opened)
