"""Several writer processes on one store, and who of them holds a lock.

Writers are forked by a worker of their own (as `crash` does) and controlled by pid only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.crash_worker import SPOKEN
from tests.support.workload import Op

PROJECT = Path(__file__).parents[2]
WAIT_S = 30.0
_LOCKS = Path("/proc/locks")
_PERFORM = (
    "import json, sys; from tests.support import crash_worker; "
    "crash_worker.perform(json.loads(sys.stdin.readline()))"
)


@dataclasses.dataclass(slots=True)
class Writer:
    """A process that carries out a history; `report` tells how far it came."""

    process: subprocess.Popen[bytes]
    report: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def freeze(self) -> None:
        """SIGSTOP; returns once the process has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        _wait_for(lambda: state_of(self.pid) == "T", f"process {self.pid} to stop")

    def wait_until_frozen(self) -> None:
        """Returns once the process has frozen itself."""
        _wait_for(lambda: state_of(self.pid) == "T", f"process {self.pid} to freeze itself")

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; returns once the process is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(WAIT_S)

    def wait(self) -> None:
        self.process.wait(WAIT_S)

    def lines(self) -> list[dict[str, Any]]:
        """What it reported so far: opened, start, item, done, error."""
        if not self.report.exists():
            return []
        text = self.report.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def done(self) -> int:
        """Acknowledged operations."""
        return sum("done" in line for line in self.lines())

    def items(self) -> int:
        """Acknowledged items of the batch that was under way last."""
        done = self.done()
        return sum(line.get("item") == done for line in self.lines())

    def errors(self) -> list[str]:
        return [line["error"] for line in self.lines() if "error" in line]

    def wait_until_done(self, operations: int) -> None:
        """Returns once so many operations were acknowledged."""
        _wait_for(lambda: self.done() >= operations, f"{operations} operations")


@contextlib.contextmanager
def writer(
    factory: str, store: Path, ops: Sequence[Op], report: Path, *, freeze_at: tuple[str, int] = ("", 0)
) -> Iterator[Writer]:
    """A process that opens the store of `factory` (as for `crash`) and carries out `ops`.

    It freezes itself at a pass of a crash point: (name, which pass).
    """
    request = {
        "target": factory, "folder": str(store), "report": str(report), "view": False,
        "ops": [op.to_json() for op in ops], "name": freeze_at[0], "nth": freeze_at[1],
        "signal": signal.SIGSTOP,
    }
    process = subprocess.Popen([sys.executable, "-c", _PERFORM], cwd=PROJECT, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(request).encode())
    process.stdin.close()
    one = Writer(process, report)
    try:
        yield one
    finally:
        if process.poll() is None:
            one.thaw()
            one.kill()


def conduct(
    factory: str, store: Path, ops: Sequence[Op], heard: Callable[[dict[str, Any]], None]
) -> None:
    """Carry out `ops` in a process that waits after each line until `heard` took it."""
    request = {
        "target": factory, "folder": str(store), "report": SPOKEN, "view": False,
        "ops": [op.to_json() for op in ops], "name": None, "nth": 0,
    }
    with subprocess.Popen(
        [sys.executable, "-c", _PERFORM], cwd=PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            fields = json.loads(line)
            if "error" in fields:
                raise RuntimeError(fields["error"])
            heard(fields)
            process.stdin.write("\n")
            process.stdin.flush()


def lock_holders(path: Path) -> list[int]:
    """Pids that hold a flock on a file."""
    status = path.stat()
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    holders = []
    for line in _LOCKS.read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and wanted in words:
            holders.append(int(words[4]))
    return holders


def state_of(pid: int) -> str:
    """The letter of /proc: R, S, D, T, Z."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited for {what}")
        time.sleep(0.005)
