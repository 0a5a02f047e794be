"""A reader and a writer that work all the while, and how long each of their calls took."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from holdfast import errors
from holdfast.operations import context

WRITE_BYTES = 16 << 10
READ_BYTES_MAX = 1 << 20
PAUSE_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of one kind of call in one phase; in milliseconds."""

    phase: str
    calls: int
    failed: int
    median_ms: float
    p99_ms: float
    worst_ms: float


@dataclass(slots=True)
class Calls:
    """What one thread did: seconds of each call by phase, and what failed."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def note(self, phase: str, seconds: float, failure: str | None) -> None:
        self.seconds.setdefault(phase, []).append(seconds)
        if failure is not None:
            self.failures.setdefault(phase, []).append(failure)

    def summary(self) -> tuple[Latency, ...]:
        return tuple(
            _latency(phase, seconds, len(self.failures.get(phase, ())))
            for phase, seconds in self.seconds.items()
        )

    def all_failures(self) -> tuple[str, ...]:
        return tuple(text for rows in self.failures.values() for text in rows)


class Traffic:
    """A context manager: both threads work within the block. Set `phase` to tell times apart.

    `written` holds what was acknowledged, to be compared afterwards.
    """

    def __init__(self, ctx: context.Context, known: Mapping[str, Path], folder: str) -> None:
        self.phase = "all_nodes"
        self.reads = Calls()
        self.writes = Calls()
        self.written: dict[str, bytes] = {}
        self._ctx = ctx
        self._known = tuple(known.items())
        self._folder = folder
        self._stop = threading.Event()
        self._threads = (
            threading.Thread(target=self._read, name="holdfast-demo-reader"),
            threading.Thread(target=self._write, name="holdfast-demo-writer"),
        )

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        for turn in itertools.count():
            if self._stop.wait(PAUSE_S):
                return
            path, source = self._known[(turn * 7919) % len(self._known)]
            offset = (turn * 104_729) % max(1, source.stat().st_size)
            self._timed(self.reads, functools.partial(self._read_one, path, source, offset))

    def _write(self) -> None:
        for turn in itertools.count():
            if self._stop.wait(PAUSE_S):
                return
            path, content = f"{self._folder}/{turn:06}", bytes([turn % 256]) * WRITE_BYTES
            self._timed(self.writes, functools.partial(self._write_one, path, content))

    def _timed(self, calls: Calls, act: Callable[[], str | None]) -> None:
        phase = self.phase
        start_s = self._ctx.clock.monotonic_s()
        try:
            failure = act()
        except errors.HoldfastError as error:
            failure = f"{error.code}: {error}"
        calls.note(phase, self._ctx.clock.monotonic_s() - start_s, failure)

    def _read_one(self, path: str, source: Path, offset: int) -> str | None:
        """A range of an object, compared with its source."""
        with self._ctx.engine.data.get(path, offset=offset, length=READ_BYTES_MAX) as stored:
            found = stored.read()
        with open(source, "rb") as local:
            local.seek(offset)
            wanted = local.read(READ_BYTES_MAX)
        return None if found == wanted else f"{path} differs at {offset}"

    def _write_one(self, path: str, content: bytes) -> str | None:
        self._ctx.engine.data.put(path, content)
        self.written[path] = content
        return None


def _latency(phase: str, seconds: Sequence[float], failed: int) -> Latency:
    ordered = sorted(seconds)
    return Latency(
        phase=phase, calls=len(ordered), failed=failed,
        median_ms=1000 * ordered[len(ordered) // 2],
        p99_ms=1000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        worst_ms=1000 * ordered[-1],
    )
