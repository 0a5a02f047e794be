"""Measured work runs in processes of its own, so that memory and caches are its own too.

A child imports, prepares, says `ready`, and starts at a word of the parent; so several children
start together, and no import is measured. `python -m bench.child` is the child.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`work` is a function of bench, such as work.put_small, called with `arguments`.

    `inside` is a command that runs the child as its last argument (a namespace, a mount).
    """

    work: str
    arguments: dict[str, Any]
    inside: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`seconds` from the first start to the last end; `peak_bytes` of the largest process."""

    seconds: float
    amount: float
    peak_bytes: int
    details: dict[str, Any]


def run(*jobs: Job) -> Measured:
    """Run jobs at the same time, each in a child. Raises RuntimeError when one fails."""
    children = [_start(job) for job in jobs]
    try:
        for child in children:
            _expect_ready(child)
        for child in children:
            _say(child, "go")
        results = [_result(child) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    seconds = max(one["ended"] for one in results) - min(one["started"] for one in results)
    return Measured(
        seconds=seconds,
        amount=sum(one["amount"] for one in results),
        peak_bytes=max(one["peak_bytes"] for one in results),
        details=results[0]["details"],
    )


def _start(job: Job) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [*job.inside, sys.executable, "-m", "bench.child"],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    _say(child, json.dumps({"work": job.work, "arguments": job.arguments}))
    return child


def _say(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def _expect_ready(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    if child.stdout.readline() != "ready\n":
        raise RuntimeError("a measured process failed while it prepared; its error is above")


def _result(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError("a measured process failed; its error is above")
    result: dict[str, Any] = json.loads(line)
    child.wait()
    return result


def peak_bytes() -> int:
    """The most memory that this process ever had resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    job = json.loads(sys.stdin.readline())
    module, _, function = job["work"].partition(".")
    prepared = getattr(importlib.import_module(f"bench.{module}"), function)(**job["arguments"])
    amount: float = next(prepared)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    details = next(prepared, None)
    ended = time.monotonic()
    result = {"started": started, "ended": ended, "amount": amount, "details": details or {},
              "peak_bytes": peak_bytes()}
    for _ in prepared:
        pass
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
