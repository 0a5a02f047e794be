"""The threads of one node: few, started when first needed, and able to hang without harm.

They are daemons, so that a disk that never answers cannot keep the process from ending, and an
operation carries its own deadline, so that nobody waits for it longer than that.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Generic, TypeVar

from holdfast.kit import clock

T = TypeVar("T")


class Operation(Generic[T]):
    """One call under way in a node's thread. Times are monotonic seconds."""

    def __init__(self, call: Callable[[], T], deadline_s: float, time: clock.Clock) -> None:
        self.future: futures.Future[T] = futures.Future()
        self.submitted_s = time.monotonic_s()
        self.took_s = 0.0
        self._deadline_s = deadline_s
        self._call = call
        self._clock = time

    def run(self) -> None:
        """Called by the node's thread."""
        try:
            result = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the operation
            self.future.set_exception(error)
        else:
            self.took_s = self._clock.monotonic_s() - self.submitted_s
            self.future.set_result(result)

    @property
    def done(self) -> bool:
        return self.future.done()

    def left_s(self, now_s: float) -> float:
        return max(0.0, self.submitted_s + self._deadline_s - now_s)


class NodeThreads:
    """At most `count` daemon threads over one queue. Callers bound what they submit."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._queue: queue.SimpleQueue[Operation[object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._idle = 0
        self._under_way: dict[int, Operation[object]] = {}

    def submit(self, operation: Operation[object]) -> None:
        with self._lock:
            self._under_way[id(operation)] = operation
            if self._idle < len(self._under_way) and self._started < self._count:
                self._started += 1
                threading.Thread(
                    target=self._work, name=f"{self._name}-{self._started}", daemon=True
                ).start()
        self._queue.put(operation)

    def oldest_s(self) -> float | None:
        """When the oldest unfinished operation was submitted."""
        with self._lock:
            return min((one.submitted_s for one in self._under_way.values()), default=None)

    def any_overdue(self, now_s: float) -> bool:
        with self._lock:
            return any(one.left_s(now_s) == 0.0 for one in self._under_way.values())

    def stop(self) -> None:
        """Let the threads end when they have done what was submitted; waits for nothing."""
        with self._lock:
            for _ in range(self._started):
                self._queue.put(None)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            operation = self._queue.get()
            with self._lock:
                self._idle -= 1
            if operation is None:
                return
            try:
                operation.run()
            finally:
                with self._lock:
                    self._under_way.pop(id(operation), None)
            del operation
