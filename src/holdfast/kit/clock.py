"""The only place that reads the clock. Deciders take `now`; actors take a Clock."""

from __future__ import annotations

import datetime
import threading
import time
from typing import Protocol

from holdfast import errors


class Clock(Protocol):
    """What actors take instead of the time module, so that tests need not wait."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC; may jump."""

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never goes back."""

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of the machine."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when told, for deciders' tests and simulation."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._lock = threading.Lock()
        self._now_ns = start_ns

    def now_ns(self) -> int:
        with self._lock:
            return self._now_ns

    def monotonic_s(self) -> float:
        return self.now_ns() / 1e9

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now_ns += int(seconds * 1e9)


SYSTEM: Clock = SystemClock()


class Deadline:
    """A moment by which something must have happened; every wait has one."""

    def __init__(self, seconds: float | None, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._end_s = None if seconds is None else clock.monotonic_s() + seconds

    def left_s(self) -> float | None:
        """Seconds left, never below 0; None for no limit."""
        if self._end_s is None:
            return None
        return max(0.0, self._end_s - self._clock.monotonic_s())

    @property
    def passed(self) -> bool:
        return self.left_s() == 0.0

    def check(self, what: str) -> None:
        """Raises UnavailableError when the deadline has passed."""
        if self.passed:
            raise errors.UnavailableError(
                "deadline.passed", "{what} did not finish in time",
                hint="try again; holdfast status shows which node is slow", what=what,
            )


def to_rfc3339(moment_ns: int) -> str:
    """UTC with milliseconds: 2026-11-23T04:05:06.789Z."""
    moment = datetime.datetime.fromtimestamp(moment_ns // 1_000_000 / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
