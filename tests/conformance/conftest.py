from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.engines import api
from tests.conformance import engines


@pytest.fixture(params=sorted(engines.FACTORIES))
def engine_factory(request: pytest.FixtureRequest) -> engines.Factory:
    return engines.FACTORIES[request.param]


@pytest.fixture
def opened(engine_factory: engines.Factory, tmp_path: Path) -> Iterator[engines.Opened]:
    store = engine_factory(tmp_path, engines.wanted())
    yield store
    store.engine.close()


@pytest.fixture
def engine(opened: engines.Opened) -> api.Engine:
    return opened.engine


@pytest.fixture
def data(engine: api.Engine) -> api.DataPlane:
    return engine.data
