"""Group commit: one thread gathers what waits and commits it as one batch.

There is no timer: the next round starts when the last one ends, with whatever is waiting then. A
client waits for its own request, with a deadline; one that gives up before its request was taken
leaves nothing behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from holdfast import errors
from holdfast.engines.embedded import apply, catalog
from holdfast.engines.embedded.apply import Record

BATCH_MAX = 4096
TAKEN_WAIT_S = 120.0  # how long a client waits for a batch that is being written


class Change:
    """A request and the wait for it. Subclasses judge and say what to record.

    `looks_up` are the (dataset, names) that judging asks for, if it asks for nothing else: then
    those of a whole batch are looked up together.
    """

    looks_up: tuple[int, tuple[bytes, ...]] | None = None

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.done = False
        self.txn = 0
        self._finished = threading.Lock()
        self._finished.acquire()

    def prepare(self, applier: apply.Applier) -> list[Record]:
        """Raises a HoldfastError when it cannot be done."""
        raise AssertionError(applier)

    def applied(self, applier: apply.Applier) -> None:
        self.txn = applier.txn

    def finish(self, error: BaseException | None) -> None:
        self.error = error
        self.done = True
        self._finished.release()

    def wait(self, timeout_s: float) -> bool:
        """True once it is finished."""
        return self._finished.acquire(timeout=timeout_s)


class Committer:
    """Owns the committing thread, which starts with the first change."""

    def __init__(self, store: catalog.Catalog, *, wait_s: float) -> None:
        """`wait_s`: how long a client waits for its change to be taken into a batch."""
        self._store = store
        self._wait_s = wait_s
        self._waiting: deque[Change] = deque()
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._in_round = False
        self._told: list[Callable[[], None]] = []

    @property
    def busy(self) -> bool:
        """Is a batch being committed, or about to be?"""
        return self._in_round or bool(self._waiting)

    def on_round(self, told: Callable[[], None]) -> None:
        """Call `told` in the committing thread whenever a round has ended."""
        self._told.append(told)

    def submit(self, changes: list[Change]) -> None:
        """Queue changes for the next batch, in this order."""
        with self._ready:
            self._waiting.extend(changes)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="holdfast-commit", daemon=True)
                self._thread.start()
            self._ready.notify()

    def settle(self, change: Change) -> None:
        """Wait until a submitted change is durable. Raises what it was refused for.

        UnavailableError `log.locked` when another process held the commit lock all the time: then
        nothing was changed.
        """
        if not change.wait(self._wait_s):
            if self._withdraw(change):
                raise self._store.log.lock.is_held()
            if not change.wait(TAKEN_WAIT_S):
                raise errors.UnavailableError(
                    "commit.unknown", "the commit did not finish in time; whether it happened is "
                    "not known", hint="holdfast stat tells; holdfast status shows slow nodes",
                )
        if change.error is not None:
            raise change.error

    def run(self, change: Change) -> None:
        """Submit one change and wait for it."""
        self.submit([change])
        self.settle(change)

    def close(self) -> None:
        """Let the thread finish what waits, and end."""
        with self._ready:
            self._closed = True
            self._ready.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=self._wait_s)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._closed:
                    self._ready.wait()
                if not self._waiting:
                    return
                self._in_round = True
            self._round()
            self._in_round = False
            for told in self._told:
                told()

    def _round(self) -> None:
        batch: list[Change] = []

        def take() -> list[Change]:
            with self._ready:
                while self._waiting and len(batch) < BATCH_MAX:
                    batch.append(self._waiting.popleft())
            return batch

        try:
            self._store.commit(take, None)
        except BaseException as error:  # noqa: BLE001 - given to every client that waits for it
            for change in batch or take():
                if not change.done:
                    change.finish(error)

    def _withdraw(self, change: Change) -> bool:
        with self._ready:
            try:
                self._waiting.remove(change)
            except ValueError:
                return False
            return True
