"""Stores to measure: six folder nodes, both kinds of protection, made the way `apply` makes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from holdfast.engines import api
from holdfast.engines.embedded import engine as embedded
from holdfast.kit.clock import Deadline
from holdfast.model import outcome, spec, topology

NODES = 6
ERASURE = "/erasure"
REPLICAS = "/replicas"
_DATASETS = (
    spec.DatasetSpec(name="erasure", path=ERASURE, protection=topology.erasure(4, 2),
                     profile=spec.Profile.MEDIA),
    spec.DatasetSpec(name="replicas", path=REPLICAS, protection=topology.replicas(3),
                     profile=spec.Profile.GENERAL),
)


def specification(folder: Path) -> spec.Spec:
    """What the user's file would say. Nodes and state lie in `folder`."""
    nodes = tuple(
        spec.NodeSpec(name=f"d{number}", path=str(folder / f"d{number}"))
        for number in range(NODES)
    )
    return spec.Spec(
        cluster="bench", file=str(folder / "holdfast.yaml"),
        engine=spec.EngineSpec(kind="embedded", nodes=nodes),
        datasets=_DATASETS, state=str(folder / "state"),
    )


def initialise(desired: spec.Spec) -> None:
    """Make the node folders and carry out the plan."""
    for node in desired.engine.nodes:
        Path(node.path).mkdir(parents=True, exist_ok=True)
    engine = embedded.EmbeddedEngine(desired)
    plan = engine.control.plan(desired, engine.control.observe(Deadline(30)))
    for step in plan.steps:
        done = engine.control.execute(step, Deadline(120))
        if done.kind is not outcome.OutcomeKind.DONE:
            raise RuntimeError(f"{step.verb} {step.target}: {done.code} {done.message}")
    engine.close()


def create(folder: Path) -> Path:
    """An empty store in `folder`; the folder."""
    initialise(specification(folder))
    return folder


@contextlib.contextmanager
def opened(folder: str) -> Iterator[api.Engine]:
    engine = embedded.EmbeddedEngine(specification(Path(folder)))
    engine.open()
    try:
        yield engine
    finally:
        engine.close()
