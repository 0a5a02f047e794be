"""New stores of each engine, prepared as `holdfast apply` does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from holdfast import errors
from holdfast.client import store
from holdfast.engines import registry
from holdfast.model import spec, topology
from holdfast.operations import context, converge

NODES = ("d1", "d2", "d3")
DATA = spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(3))


@contextlib.contextmanager
def opened(kind: str, folder: Path) -> Iterator[store.Store]:
    """A store of the engine `kind` with /data; what it keeps on disk lies below `folder`."""
    names = NODES if kind == "embedded" else ()
    for name in names:
        (folder / name).mkdir()
    nodes = tuple(spec.NodeSpec(name=name, path=str(folder / name)) for name in names)
    wanted = spec.Spec(
        cluster="test", file=str(folder / "holdfast.yaml"), datasets=(DATA,),
        engine=spec.EngineSpec(kind=kind, nodes=nodes), state=str(folder / "state"),
    )
    engine = registry.open_engine(wanted)
    ctx = context.Context(engine=engine, spec=wanted)
    with contextlib.suppress(errors.NotInitialisedError):
        engine.open()
    converge.apply(ctx, converge.make_plan(ctx), lambda _: None)
    engine.open()
    with store.Store(engine, wanted) as found:
        yield found
