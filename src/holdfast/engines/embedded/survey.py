"""Look at many places at once, for no longer than a deadline: a disk that hangs is a finding.

Used where a store is found and observed, before there are nodes with threads of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import NamedTuple, TypeVar

from holdfast.engines.embedded import node_threads, sentinel
from holdfast.kit import clock
from holdfast.model import observation, spec

T = TypeVar("T")

LOOK_S = 5.0  # a disk that has not shown its folder by then hangs
THREADS_MAX = 32


class Space(NamedTuple):
    """What the file system of a path says of itself. `device` as in stat; bytes."""

    device: int
    capacity: int
    free: int
    used: int
    kind: str


def looks(nodes: Sequence[spec.NodeSpec]) -> dict[str, sentinel.Look]:
    """What stands at the path of each node. Raises RefusedError for a later release's node."""
    found = ask({one.name: _looker(Path(one.path)) for one in nodes}, LOOK_S)
    return {
        one.name: found.get(one.name) or sentinel.Look(
            path=Path(one.path), health=observation.Health.FAILING, reason="node.timeout")
        for one in nodes
    }


def spaces(paths: Mapping[str, Path]) -> dict[str, Space]:
    """The file systems of paths that can be asked."""
    found = ask({name: _measurer(path) for name, path in paths.items()}, LOOK_S)
    return {name: space for name, space in found.items() if space is not None}


def ask(questions: Mapping[str, Callable[[], T]], within_s: float) -> dict[str, T]:
    """The answers that came in time; raises what a question raised. Late ones are left behind."""
    threads = node_threads.NodeThreads("holdfast-look", min(THREADS_MAX, len(questions) or 1))
    operations = {
        name: node_threads.Operation(call, within_s, clock.SYSTEM)
        for name, call in questions.items()
    }
    for operation in operations.values():
        threads.submit(operation)  # type: ignore[arg-type]  # the result is not looked at there
    answers = {}
    for name, operation in operations.items():
        try:
            answers[name] = operation.future.result(
                operation.left_s(clock.SYSTEM.monotonic_s()))
        except futures.TimeoutError:
            continue
    threads.stop()
    return answers


def _looker(path: Path) -> Callable[[], sentinel.Look]:
    return lambda: sentinel.look(path)


def _measurer(path: Path) -> Callable[[], Space | None]:
    return lambda: _measure(path)


def _measure(path: Path) -> Space | None:
    try:
        space, status = os.statvfs(path), os.stat(path)
    except OSError:
        return None
    capacity = space.f_blocks * space.f_frsize
    return Space(
        device=status.st_dev, capacity=capacity, free=space.f_bavail * space.f_frsize,
        used=capacity - space.f_bfree * space.f_frsize, kind=sentinel.file_system(path))
