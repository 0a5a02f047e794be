"""The process that dies: carries out a history on a store and kills itself at one crash point.

`crash` starts it once; it forks for each trial, so that a trial costs a fork and not an import.
Requests are JSON lines on standard input; each is answered with how the child ended. The child
appends what happened to the report file: a line is there once the kernel has it, SIGKILL or not.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

from holdfast.kit import atomic
from tests.support.workload import Op, View

SPOKEN = "-"


class Target(Protocol):
    """A store under test."""

    def apply(self, op: Op) -> Iterator[None]:
        """Carry out one operation; of a batch yields as each item is acknowledged."""

    def view(self) -> View: ...
    def close(self) -> None: ...


class Report:
    """Lines that outlive this process; SPOKEN ones wait until they were heard."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._spoken = path == SPOKEN
        self._descriptor = 1 if self._spoken else os.open(path, flags, 0o600)

    def line(self, **fields: object) -> None:
        os.write(self._descriptor, (json.dumps(fields) + "\n").encode())
        if self._spoken:
            sys.stdin.readline()


class Killer:
    """Counts crash points; at the chosen one sends this process a signal: SIGKILL, or SIGSTOP.

    The choice is a name and which of its passes, or the number of a pass of any name.
    """

    def __init__(self, name: str | None, nth: int, number: int) -> None:
        self.passed: Counter[str] = Counter()
        self._signal = number
        self._name = name
        self._nth = nth
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            self.passed[name] += 1
            count = self.passed.total() if self._name is None else self.passed[self._name]
            if count == self._nth and self._name in (None, name):
                os.kill(os.getpid(), self._signal)


def perform(request: dict[str, Any]) -> None:
    """The child: open, carry out, look, report."""
    report = Report(request["report"])
    killer = Killer(request["name"], request["nth"], request.get("signal", signal.SIGKILL))
    atomic.set_hook(killer)
    try:
        module, _, factory = request["target"].partition(":")
        target: Target = getattr(importlib.import_module(module), factory)(request["folder"])
        report.line(opened=True)
        for number, fields in enumerate(request["ops"]):
            report.line(start=number)
            for _ in target.apply(Op(**fields)):
                report.line(item=number)
            report.line(done=number)
        if request["view"]:
            report.line(view=target.view())
        target.close()
    except BaseException:
        report.line(error=traceback.format_exc())
    report.line(points=killer.passed)


def main() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _perform_and_leave(request)
        print(json.dumps({"ended": _wait(child, request["timeout_s"])}), flush=True)


def _perform_and_leave(request: dict[str, Any]) -> None:
    """Nothing of the parent's may run in the child, its exit handlers least of all."""
    try:
        perform(request)
    finally:
        os._exit(0)


def _wait(child: int, timeout_s: float) -> str:
    """killed, left, or hung (it is killed then)."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            return "killed" if os.WIFSIGNALED(status) else "left"
        time.sleep(0.003)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"


if __name__ == "__main__":
    main()
