"""Engines around an engine: `Measured` counts, `Throttled` slows down, `ReadOnly` refuses changes.

Each offers exactly the extras of the engine inside, and treats them as it treats the data plane.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import BinaryIO, TypeVar, cast

from holdfast import errors
from holdfast.engines import api, around
from holdfast.kit import clock, limits
from holdfast.model import observation, outcome, plan, spec

T = TypeVar("T")

CONTROL_VERBS = frozenset({"observe", "plan", "execute"})
CHANGING_VERBS = frozenset({
    "put", "rename", "delete", "execute", "create_snapshot", "remove_snapshot", "put_many",
    "append", "make_folder", "remove_folder",
})  # fmt: skip
# Upper bounds of the histogram's buckets but the last: 1 µs to 67 s, each twice the one before.
LATENCY_BOUNDS_S = tuple(1e-6 * 2**power for power in range(27))


class ReadOnly(around.Wrapper):
    """Refuses each verb that changes something (`engine.read_only`); `execute` says so too."""

    def __init__(self, inner: api.Engine) -> None:
        super().__init__(inner, _Refusing())

    @property
    def control(self) -> api.ControlPlane:
        return _ReadOnlyControl(self.inner.control)


class Throttled(around.Wrapper):
    """Keeps bytes and operations of the data plane and the extras below a rate. None: no limit.

    Every item of a batch counts as an operation. The control plane is never held up.
    """

    def __init__(
        self,
        inner: api.Engine,
        *,
        bytes_per_s: float | None = None,
        operations_per_s: float | None = None,
        time: clock.Clock = clock.SYSTEM,
    ) -> None:
        super().__init__(
            inner,
            _Slowing(_bucket(bytes_per_s, time), _bucket(operations_per_s, time)),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerbReport:
    """What became of one verb. `seconds` were spent inside the engine and in reading sources, not in
    what the caller did between two reads. `buckets[i]` counts the calls of at most
    `LATENCY_BOUNDS_S[i]`; the last bucket those that were slower than all bounds."""

    count: int
    failed: int
    seconds: float
    bytes_moved: int
    buckets: tuple[int, ...]

    def quantile_s(self, share: float) -> float:
        """The bound under which `share` (0 to 1) of the calls stayed; infinite beyond the last."""
        wanted = share * self.count
        bounds: tuple[float, ...] = (*LATENCY_BOUNDS_S, float("inf"))
        reached = itertools.accumulate(self.buckets)
        for bound, seen in zip(bounds, reached, strict=True):
            if seen >= wanted:
                return bound
        return bounds[-1]


class Measured(around.Wrapper):
    """Counts calls, failures, bytes and latencies of each verb. A stream counts when it ends."""

    def __init__(self, inner: api.Engine, *, time: clock.Clock = clock.SYSTEM) -> None:
        self._meter = _Meter(time)
        super().__init__(inner, self._meter)

    def report(self) -> Mapping[str, VerbReport]:
        """What happened so far, by verb (`put`, `create_snapshot`)."""
        return self._meter.report()


class _ReadOnlyControl:
    def __init__(self, inner: api.ControlPlane) -> None:
        self._inner = inner

    def observe(self, deadline: api.Deadline) -> observation.Observation:
        seen = self._inner.observe(deadline)
        return dataclasses.replace(seen, writable=False, reason=seen.reason or "engine.read_only")

    def execute(self, step: plan.Step, deadline: api.Deadline) -> outcome.Outcome:  # noqa: ARG002
        refusal = _refusal(step.verb)
        return outcome.Outcome(
            kind=outcome.OutcomeKind.REFUSED, code=refusal.code, message=str(refusal)
        )

    def plan(self, desired: spec.Spec, observed: observation.Observation) -> plan.Plan:
        return self._inner.plan(desired, observed)


class _Refusing(around.Around):
    def call(self, verb: str, work: Callable[[], T]) -> T:
        if verb in CHANGING_VERBS:
            raise _refusal(verb)
        return work()


class _Slowing(around.Around):
    def __init__(
        self, of_bytes: limits.TokenBucket | None, of_operations: limits.TokenBucket | None
    ) -> None:
        self._of_bytes = of_bytes
        self._of_operations = of_operations

    def call(self, verb: str, work: Callable[[], T]) -> T:
        if verb not in CONTROL_VERBS and verb != "put_many":
            self._take_operation()
        return work()

    def body(
        self, verb: str, work: Callable[[], AbstractContextManager[BinaryIO]]
    ) -> AbstractContextManager[BinaryIO]:
        return self._slow_body(self.call(verb, work))

    def source(self, verb: str, source: api.Source) -> api.Source:
        if verb == "put_many":
            self._take_operation()
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._take_bytes(memoryview(source).nbytes)
            return source
        return around.tapped(source, self._read)

    @contextlib.contextmanager
    def _slow_body(self, opened: AbstractContextManager[BinaryIO]) -> Iterator[BinaryIO]:
        with opened as stream:
            yield around.tapped(stream, self._read)

    def _read(self, fill: Callable[[], int]) -> int:
        count = fill()
        self._take_bytes(count)
        return count

    def _take_bytes(self, count: int) -> None:
        if self._of_bytes is not None:
            self._of_bytes.take(count)

    def _take_operation(self) -> None:
        if self._of_operations is not None:
            self._of_operations.take(1)


class _Meter(around.Around):
    def __init__(self, time: clock.Clock) -> None:
        self._time = time
        self._lock = threading.Lock()
        self._reports: dict[str, VerbReport] = {}

    def report(self) -> Mapping[str, VerbReport]:
        with self._lock:
            return dict(self._reports)

    def call(self, verb: str, work: Callable[[], T]) -> T:
        with self._counted(verb) as spent, spent:
            return work()

    def stream(self, verb: str, work: Callable[[], Iterator[T]]) -> Iterator[T]:
        with self._counted(verb) as spent:
            with spent:
                items = work()
            end = object()
            while True:
                with spent:
                    item = next(items, end)
                if item is end:
                    return
                yield cast(T, item)

    @contextlib.contextmanager
    def body(
        self, verb: str, work: Callable[[], AbstractContextManager[BinaryIO]]
    ) -> Iterator[BinaryIO]:
        with self._counted(verb) as spent, contextlib.ExitStack() as opened:
            with spent:
                stream = opened.enter_context(work())
            yield around.tapped(stream, spent.read)

    def source(self, verb: str, source: api.Source) -> api.Source:
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._count_bytes(verb, memoryview(source).nbytes)
            return source
        return around.tapped(source, lambda fill: self._read_source(verb, fill))

    def _read_source(self, verb: str, fill: Callable[[], int]) -> int:
        count = fill()
        self._count_bytes(verb, count)
        return count

    @contextlib.contextmanager
    def _counted(self, verb: str) -> Iterator[_Spent]:
        spent = _Spent(self._time)
        try:
            yield spent
        finally:
            self._count(verb, spent)

    def _count(self, verb: str, spent: _Spent) -> None:
        with self._lock:
            old = self._reports.get(verb, _NOTHING)
            self._reports[verb] = dataclasses.replace(
                old,
                count=old.count + 1,
                failed=old.failed + spent.failed,
                seconds=old.seconds + spent.seconds,
                bytes_moved=old.bytes_moved + spent.bytes_moved,
                buckets=_counted_in(old.buckets, spent.seconds),
            )

    def _count_bytes(self, verb: str, count: int) -> None:
        with self._lock:
            old = self._reports.get(verb, _NOTHING)
            self._reports[verb] = dataclasses.replace(old, bytes_moved=old.bytes_moved + count)


class _Spent:
    """The time inside `with` blocks, and whether one of them failed."""

    def __init__(self, time: clock.Clock) -> None:
        self._time = time
        self._started_s = 0.0
        self.seconds = 0.0
        self.bytes_moved = 0
        self.failed = False

    def __enter__(self) -> None:
        self._started_s = self._time.monotonic_s()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.seconds += self._time.monotonic_s() - self._started_s
        self.failed = self.failed or kind is not None

    def read(self, fill: Callable[[], int]) -> int:
        with self:
            count = fill()
        self.bytes_moved += count
        return count


_NOTHING = VerbReport(
    count=0, failed=0, seconds=0.0, bytes_moved=0, buckets=(0,) * (len(LATENCY_BOUNDS_S) + 1)
)


def _counted_in(buckets: tuple[int, ...], seconds: float) -> tuple[int, ...]:
    index = sum(1 for bound in LATENCY_BOUNDS_S if bound < seconds)
    return (*buckets[:index], buckets[index] + 1, *buckets[index + 1 :])


def _bucket(rate_per_s: float | None, time: clock.Clock) -> limits.TokenBucket | None:
    return None if rate_per_s is None else limits.TokenBucket(rate_per_s, time=time)


def _refusal(verb: str) -> errors.RefusedError:
    return errors.RefusedError(
        "engine.read_only", "{verb} would change the store, which is opened for reading only",
        hint="open it without --read-only", verb=verb,
    )
