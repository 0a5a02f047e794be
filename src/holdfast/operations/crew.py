"""A few threads at work on a bounded number of tasks; the first error stops them all.

Called by the operations that copy many objects at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from types import TracebackType
from typing import Self


class Crew:
    """At most `width` tasks run and `width` wait. `submit` blocks when more would wait.

    A context manager: leaving it waits for every task and raises the first error of any.
    """

    def __init__(self, name: str, width: int) -> None:
        self._pool = futures.ThreadPoolExecutor(width, thread_name_prefix=f"holdfast-{name}")
        self._room = threading.BoundedSemaphore(2 * width)
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._note(error)
        self._pool.shutdown(wait=True)
        if error is None:
            self._raise_first()

    def submit(self, task: Callable[[], None]) -> None:
        """Raises the first error of any earlier task."""
        self._room.acquire()
        try:
            self._raise_first()
            self._pool.submit(self._run, task)
        except BaseException:
            self._room.release()
            raise

    def _run(self, task: Callable[[], None]) -> None:
        try:
            if self._error is None:
                task()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that submits
            self._note(error)
        finally:
            self._room.release()

    def _note(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error

    def _raise_first(self) -> None:
        if self._error is not None:
            raise self._error
