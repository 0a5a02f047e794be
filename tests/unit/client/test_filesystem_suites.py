"""fsspec's own abstract suites, on a memory engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests import abstract

from holdfast.client import filesystem, store
from holdfast.engines import memory
from holdfast.model import spec, topology

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestRemovedIn10Warning")


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self) -> Iterator[filesystem.HoldfastFileSystem]:
        wanted = spec.Spec(
            cluster="test", file="/test/holdfast.yaml", engine=spec.EngineSpec(kind="memory"),
            datasets=(
                spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(1)),
            ),
        )
        engine = memory.MemoryEngine(wanted)
        engine.open()
        with store.Store(engine, wanted) as opened:
            yield filesystem.HoldfastFileSystem(store=opened)

    @pytest.fixture
    def fs_path(self) -> str:
        return "/data"

    @pytest.fixture
    def local_fs(self) -> LocalFileSystem:
        return LocalFileSystem(auto_mkdir=True)


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass
