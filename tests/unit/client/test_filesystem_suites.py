"""fsspec's own abstract suites, on the memory engine and on the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests import abstract
from tests.unit.client import stores

from holdfast.client import filesystem

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestRemovedIn10Warning")


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[filesystem.HoldfastFileSystem]:
    with stores.opened("memory", tmp_path_factory.mktemp("memory")) as opened:
        yield filesystem.HoldfastFileSystem(store=opened)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[filesystem.HoldfastFileSystem]:
    with stores.opened("embedded", tmp_path_factory.mktemp("embedded")) as opened:
        yield filesystem.HoldfastFileSystem(store=opened)


class Fixtures(abstract.AbstractFixtures):
    kind: ClassVar[str]

    @pytest.fixture
    def fs(self, request: pytest.FixtureRequest) -> Iterator[filesystem.HoldfastFileSystem]:
        found = request.getfixturevalue(self.kind)
        assert isinstance(found, filesystem.HoldfastFileSystem)
        yield found
        for path in found.ls("/data", detail=False):
            found.rm(path, recursive=True)

    @pytest.fixture
    def fs_path(self) -> str:
        return "/data"

    @pytest.fixture
    def local_fs(self) -> LocalFileSystem:
        return LocalFileSystem(auto_mkdir=True)


class Memory(Fixtures):
    kind = "memory"


class Embedded(Fixtures):
    kind = "embedded"


class TestCopy(abstract.AbstractCopyTests, Memory):
    pass


class TestGet(abstract.AbstractGetTests, Memory):
    pass


class TestPut(abstract.AbstractPutTests, Memory):
    pass


class TestOpen(abstract.AbstractOpenTests, Memory):
    pass


class TestPipe(abstract.AbstractPipeTests, Memory):
    pass


@pytest.mark.slow
class TestCopyEmbedded(abstract.AbstractCopyTests, Embedded):
    pass


@pytest.mark.slow
class TestGetEmbedded(abstract.AbstractGetTests, Embedded):
    pass


@pytest.mark.slow
class TestPutEmbedded(abstract.AbstractPutTests, Embedded):
    pass


@pytest.mark.slow
class TestOpenEmbedded(abstract.AbstractOpenTests, Embedded):
    pass


@pytest.mark.slow
class TestPipeEmbedded(abstract.AbstractPipeTests, Embedded):
    pass
