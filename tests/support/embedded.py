"""Real stores of the embedded engine on folders, made by plan and execute as a user's are."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from holdfast.engines.embedded import engine
from holdfast.kit import clock
from holdfast.model import outcome, spec

NODES = 6


def with_nodes(folder: Path, asked: spec.Spec, count: int = NODES) -> spec.Spec:
    """The same wishes over `count` folder nodes, two in a domain, and a state folder."""
    nodes = []
    for number in range(1, count + 1):
        path = folder / f"d{number}"
        path.mkdir(parents=True, exist_ok=True)
        nodes.append(
            spec.NodeSpec(name=f"d{number}", path=str(path), domain=(f"shelf{(number - 1) // 2}",))
        )
    return dataclasses.replace(
        asked,
        engine=spec.EngineSpec(kind="embedded", nodes=tuple(nodes)),
        state=str(folder / "state"),
        file=str(folder / "holdfast.yaml"),
    )


def prepare(made: engine.EmbeddedEngine) -> None:
    """Bring the store to its spec; every step must succeed."""
    observed = made.control.observe(clock.Deadline(30))
    planned = made.control.plan(made.wanted, observed)
    assert not planned.refusals
    for step in planned.steps:
        result = made.control.execute(step, clock.Deadline(60))
        assert result.kind is outcome.OutcomeKind.DONE, result
    made.open()


def open_engine(
    wanted: spec.Spec, shard_bytes: Mapping[spec.Profile, int] | None = None
) -> engine.EmbeddedEngine:
    """A prepared and opened store."""
    tuning = engine.Tuning(shard_bytes=shard_bytes) if shard_bytes else engine.Tuning()
    made = engine.EmbeddedEngine(wanted, tuning=tuning)
    prepare(made)
    return made


_templates: dict[tuple[object, ...], Path] = {}


def copied_engine(
    folder: Path, asked: spec.Spec, shard_bytes: Mapping[spec.Profile, int] | None = None,
    count: int = NODES,
) -> engine.EmbeddedEngine:
    """Like `open_engine` over `with_nodes`, from a copy of a store that was prepared once.

    Nodes are known by their uuid and not by their path, so a copied store is a store.
    """
    key = (asked.datasets, count)
    template = _templates.get(key)
    if template is None:
        template = Path(tempfile.mkdtemp(prefix="holdfast-template-"))
        atexit.register(shutil.rmtree, template, ignore_errors=True)
        open_engine(with_nodes(template, asked, count)).close()
        _templates[key] = template
    folder.mkdir(parents=True, exist_ok=True)
    for part in template.iterdir():
        if part.is_dir():
            shutil.copytree(part, folder / part.name, symlinks=True, dirs_exist_ok=True)
    wanted = with_nodes(folder, asked, count)
    tuning = engine.Tuning(shard_bytes=shard_bytes) if shard_bytes else engine.Tuning()
    made = engine.EmbeddedEngine(wanted, tuning=tuning)
    made.open()
    return made
