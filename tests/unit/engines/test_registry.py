from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.engines import memory, registry, wrappers
from holdfast.model import spec, topology

MEMORY = spec.Spec(
    cluster="c",
    file="/f/holdfast.yaml",
    engine=spec.EngineSpec(kind="memory"),
    datasets=(spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(1)),),
)


def test_the_memory_engine_is_chosen_by_its_kind() -> None:
    engine = registry.open_engine(MEMORY)

    assert isinstance(engine, memory.MemoryEngine)
    with pytest.raises(errors.RefusedError, match="is not open"):
        engine.data.stat("/data")


def test_a_memory_engine_for_reading_refuses_changes() -> None:
    engine = registry.open_engine(MEMORY, read_only=True)
    engine.open()

    assert isinstance(engine, wrappers.ReadOnly)
    with pytest.raises(errors.RefusedError, match="opened for reading only"):
        engine.data.put("/data/a", b"x")


def test_the_embedded_engine_is_chosen_by_its_kind(tmp_path: Path) -> None:
    nodes = (spec.NodeSpec(name="disk1", path=str(tmp_path / "disk1")),)
    asked = dataclasses.replace(
        MEMORY,
        engine=spec.EngineSpec(kind="embedded", nodes=nodes),
        state=str(tmp_path / "state"),
    )

    engine = registry.open_engine(asked)

    assert type(engine).__name__ == "EmbeddedEngine"
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    asked = dataclasses.replace(MEMORY, engine=spec.EngineSpec(kind="embeded"))

    with pytest.raises(errors.ConfigError) as caught:
        registry.open_engine(asked)

    message, hint = errors.render(caught.value, str)
    assert caught.value.code == "engine.unknown"
    assert "embeded" in message
    assert "embedded, memory" in hint
