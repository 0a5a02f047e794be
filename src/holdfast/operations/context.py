"""What every operation is given: the engine, the user's wishes, progress, cancelling, a clock.

Operations return results and report Progress; they never print. They check `cancel` at every
bounded unit of work; faces set it on SIGINT and SIGTERM.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.engines import api
from holdfast.kit import clock
from holdfast.model import spec

REPORT_EVERY_S = 0.1


class Cancelled(KeyboardInterrupt):
    """The work was asked to stop and stopped at a whole unit. Not an error: exit code 130 or 143."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`rate` is in units a second since the phase began; `total` and `eta_s` None: not known."""

    phase: str
    done: int
    total: int | None
    unit: str
    rate: float
    eta_s: float | None


def ignore_progress(_: Progress) -> None:
    """The progress callback of those who do not watch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One open engine and how to work on it."""

    engine: api.Engine
    spec: spec.Spec
    progress: Callable[[Progress], None] = ignore_progress
    cancel: threading.Event = field(default_factory=threading.Event)
    clock: clock.Clock = clock.SYSTEM

    def check(self) -> None:
        """Raises Cancelled when the work was asked to stop."""
        if self.cancel.is_set():
            raise Cancelled

    def meter(self, phase: str, *, total: int | None, unit: str) -> Meter:
        return Meter(self, phase, total=total, unit=unit)


class Meter:
    """Counts one phase of work from any number of threads and reports it ten times a second."""

    def __init__(self, context: Context, phase: str, *, total: int | None, unit: str) -> None:
        self._context = context
        self._phase = phase
        self._total = total
        self._unit = unit
        self._done = 0
        self._start_s = context.clock.monotonic_s()
        self._reported_s = self._start_s
        self._lock = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        return self._context.clock.monotonic_s() - self._start_s

    @property
    def done(self) -> int:
        with self._lock:
            return self._done

    def expect(self, more: int) -> None:
        """The total has grown: the work is still being found."""
        with self._lock:
            self._total = (self._total or 0) + more

    def add(self, count: int) -> None:
        """Raises Cancelled when the work was asked to stop."""
        self._context.check()
        now_s = self._context.clock.monotonic_s()
        with self._lock:
            self._done += count
            if now_s - self._reported_s < REPORT_EVERY_S:
                return
            self._reported_s = now_s
            progress = self._progress(now_s)
        self._context.progress(progress)

    def finish(self) -> None:
        with self._lock:
            progress = self._progress(self._context.clock.monotonic_s())
        self._context.progress(progress)

    def _progress(self, now_s: float) -> Progress:
        elapsed_s = max(now_s - self._start_s, 1e-9)
        rate = self._done / elapsed_s
        left = None if self._total is None else max(0, self._total - self._done)
        eta_s = left / rate if left is not None and rate > 0 else None
        return Progress(
            phase=self._phase, done=self._done, total=self._total, unit=self._unit,
            rate=rate, eta_s=eta_s,
        )
