"""An engine that fails on purpose: `Faulty` around any engine, told by `Fault`s what breaks and when.

For tests of what stands above engines. Faults of disks, power and processes are not here: they are
injected for real.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import io
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from holdfast import errors
from holdfast.engines import api, around
from holdfast.kit import clock

T = TypeVar("T")


class Moment(enum.Enum):
    """BEFORE: nothing is done. AFTER: it is done, but the caller is told that it failed.

    MIDWAY: once a get gave `at` bytes, or what gives several things `at` of them. SOURCE: once `at`
    bytes were read from the source of a put, append or item of a batch. (Bytes go through a buffer:
    some more than `at` may pass before it breaks.) FLIP: the byte at `at` that a get gives is wrong.
    """

    BEFORE = "before"
    AFTER = "after"
    MIDWAY = "midway"
    SOURCE = "source"
    FLIP = "flip"


def unreachable() -> BaseException:
    return errors.UnavailableError("fault.injected", "this fault was injected by a test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Breaks calls of `verb`: number `first` (from 0), and `times` of them from there on.

    The call takes `delay_s` longer; with `error` None that is all that is wrong with it.
    """

    verb: str
    moment: Moment = Moment.BEFORE
    at: int = 0
    first: int = 0
    times: int = 1
    error: Callable[[], BaseException] | None = unreachable
    delay_s: float = 0.0


class Faulty(around.Wrapper):
    """Breaks calls as its faults say; `broken` tells how many were."""

    def __init__(
        self, inner: api.Engine, *faults: Fault, time: clock.Clock = clock.SYSTEM
    ) -> None:
        self._breaking = _Breaking(faults, time)
        super().__init__(inner, self._breaking)

    @property
    def broken(self) -> int:
        return self._breaking.broken


class _Breaking(around.Around):
    def __init__(self, faults: tuple[Fault, ...], time: clock.Clock) -> None:
        self._faults = faults
        self._time = time
        self._lock = threading.Lock()
        self._calls: collections.Counter[tuple[str, str]] = collections.Counter()
        self.broken = 0

    def call(self, verb: str, work: Callable[[], T]) -> T:
        before, after = self._due(verb, "call", Moment.BEFORE, Moment.AFTER)
        _fail(before)
        result = work()
        _fail(after)
        return result

    def stream(self, verb: str, work: Callable[[], Iterator[T]]) -> Iterator[T]:
        before, midway, after = self._due(
            verb, "call", Moment.BEFORE, Moment.MIDWAY, Moment.AFTER
        )
        _fail(before)
        if midway is None:
            yield from work()
        else:
            yield from itertools.islice(work(), midway.at)
            _fail(midway)
        _fail(after)

    @contextlib.contextmanager
    def body(
        self, verb: str, work: Callable[[], AbstractContextManager[BinaryIO]]
    ) -> Iterator[BinaryIO]:
        before, midway, flip = self._due(
            verb, "call", Moment.BEFORE, Moment.MIDWAY, Moment.FLIP
        )
        _fail(before)
        with work() as stream:
            if midway is not None:
                yield around.tapped(stream, _Breaker(midway).fill)
            elif flip is not None:
                whole = bytearray(stream.read())
                whole[flip.at] ^= 0xFF
                yield io.BytesIO(whole)
            else:
                yield stream

    def source(self, verb: str, source: api.Source) -> api.Source:
        (broken,) = self._due(verb, "source", Moment.SOURCE)
        if broken is None:
            return source
        if isinstance(source, (bytes, bytearray, memoryview)):
            source = io.BytesIO(source)
        return around.tapped(source, _Breaker(broken).fill)

    def _due(self, verb: str, stage: str, *moments: Moment) -> tuple[Fault | None, ...]:
        """Count a call, wait as the faults say, and give the fault for each of the moments."""
        with self._lock:
            number = self._calls[verb, stage]
            self._calls[verb, stage] += 1
            due = {
                one.moment: one
                for one in self._faults
                if one.verb == verb
                and one.moment in moments
                and one.first <= number < one.first + one.times
            }
            self.broken += len(due)
        for fault in due.values():
            if fault.delay_s:
                self._time.sleep(fault.delay_s)
        return tuple(due.get(moment) for moment in moments)


class _Breaker:
    """Lets `at` bytes through, then raises."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._left = fault.at

    def fill(self, fill: Callable[[], int]) -> int:
        if self._left <= 0:
            _fail(self._fault)
        count = fill()
        self._left -= count
        return count


def _fail(fault: Fault | None) -> None:
    if fault is not None and fault.error is not None:
        raise fault.error()
