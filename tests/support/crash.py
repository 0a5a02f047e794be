"""Kill a process at every durable step, once or twice in a row, and judge what is left.

    with Harness(target, tmp_path) as harness:
        for name, nth in harness.points(ops): ...
            harness.trial(ops, Crash(name=name, nth=nth))

A trial starts from the same prepared store. Crash points are those of `kit.atomic`. The judgement:
every acknowledged operation is there byte for byte, the one under way happened or did not, the
store takes writes again, and (where the target has one) a rebuilt index tells the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.support.workload import Op, View, allowed, states

PROJECT = Path(__file__).parents[2]
TRIAL_TIMEOUT_S = 30.0
ANY = None
# The kernel tells boots apart by this file; in a mount namespace of its own it can be another one.
_AFTER_REBOOT = ("unshare", "--mount", "sh", "-c", """
cat /proc/sys/kernel/random/uuid > /tmp/boot-id.$$
mount --bind /tmp/boot-id.$$ /proc/sys/kernel/random/boot_id || exit 1
rm /tmp/boot-id.$$
exec "$@"
""", "sh")
_PROBE_PATH = "/data/probe-after-crash"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The `nth` pass of the point `name` (ANY: of whichever); 0: no crash."""

    name: str | None = ANY
    nth: int = 0


NEVER = Crash()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one process did."""

    ended: str
    opened: bool
    done: int
    started: int
    items: int
    view: View | None
    error: str
    points: dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A store under test: `factory` opens it in a folder that `prepared` filled.

    `forget` are the paths in the folder whose loss must change nothing (the index).
    """

    factory: str
    prepared: Path
    forget: tuple[str, ...] = ()
    probe: str = _PROBE_PATH


class Harness:
    """One worker process and one working folder; trials come one after the other."""

    def __init__(self, target: Target, folder: Path, *, rebooted: bool = False) -> None:
        """`rebooted`: its processes see another boot than this one's (root only)."""
        self.target = target
        self._inside = _AFTER_REBOOT if rebooted else ()
        self._store = folder
        self._report = folder.with_name(folder.name + ".report")

    def __enter__(self) -> Self:
        module = self.target.factory.partition(":")[0]
        self._worker = subprocess.Popen(
            [*self._inside, sys.executable, "-m", "tests.support.crash_worker", module],
            cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=_environment(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._worker.wait(TRIAL_TIMEOUT_S)
        self._worker.kill()
        self._worker.wait()
        self._worker.stdout.close()

    def points(self, ops: tuple[Op, ...]) -> list[Crash]:
        """Every crash point that this history passes, each pass by itself."""
        self.reset()
        run = self.run(ops)
        assert run.error == ""
        assert run.done == len(ops)
        return [
            Crash(name=name, nth=nth)
            for name, passes in sorted(run.points.items())
            for nth in range(1, passes + 1)
        ]

    def trial(self, ops: tuple[Op, ...], first: Crash, second: Crash = NEVER) -> list[str]:
        """What is wrong after the crash (and, given `second`, after one more while recovering)."""
        self.reset()
        run = self.run(ops, first)
        if run.error:
            return [f"the run failed before the crash: {run.error}"]
        again = self.run((self._probe(),), second) if second != NEVER else None
        return self._judge(ops, run, again)

    def reset(self) -> None:
        """The prepared store, at the same path."""
        shutil.rmtree(self._store, ignore_errors=True)
        subprocess.run(
            ["cp", "-a", "--sparse=always", str(self.target.prepared), str(self._store)],
            check=True, capture_output=True,
        )

    def run(self, ops: tuple[Op, ...], crash: Crash = NEVER, *, view: bool = False) -> Run:
        """Carry out a history in a process of its own."""
        self._report.unlink(missing_ok=True)
        reply = self._ask(
            target=self.target.factory, folder=str(self._store), report=str(self._report),
            ops=[op.to_json() for op in ops], name=crash.name, nth=crash.nth, view=view,
            timeout_s=TRIAL_TIMEOUT_S,
        )
        return _read(self._report, reply["ended"])

    def _judge(self, ops: tuple[Op, ...], run: Run, again: Run | None) -> list[str]:
        right = allowed(ops, run.done, run.started, run.items)
        probe = self._probe()
        if again is not None and (again.started or again.ended == "hung"):
            if again.ended == "hung" or again.error:
                return [f"the second run {again.ended}: {again.error}"]
            with_probe = [{**view, **states((probe,))[1]} for view in right]
            right = with_probe if again.done else right + with_probe
        return self.verdict(right)

    def verdict(self, right: list[View]) -> list[str]:
        """What is wrong with the store as it lies there, of which `right` are the right views."""
        seen = self.run((), view=True)
        wrong = _compare("after the crash", seen, right)
        if wrong:
            return wrong
        probe = dataclasses.replace(self._probe(), path=self.target.probe + "-2")
        after = self.run((probe,), view=True)
        expected = [{**(seen.view or {}), **states((probe,))[1]}]
        wrong = _compare("after one more put", after, expected)
        if wrong or not self.target.forget:
            return wrong
        for name in self.target.forget:
            _forget(self._store / name)
        return _compare("after the index was rebuilt", self.run((), view=True), expected)

    def _probe(self) -> Op:
        return Op("put", self.target.probe, size=3000, seed=99)

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        reply: dict[str, Any] = json.loads(self._worker.stdout.readline())
        return reply


def _compare(when: str, run: Run, right: list[View]) -> list[str]:
    """Sentences about how a view differs from the nearest right one."""
    if run.ended != "left" or run.error or run.view is None:
        return [f"{when}: the process {run.ended}: {run.error or 'no view'}"]
    if run.view in right:
        return []
    differences = [_differences(run.view, one) for one in right]
    nearest = min(differences, key=len)
    return [f"{when}: {sentence}" for sentence in nearest]


def _differences(seen: View, right: View) -> list[str]:
    return [
        f"{path}: {seen.get(path, 'absent')} instead of {right.get(path, 'absent')}"
        for path in sorted(seen.keys() | right.keys())
        if seen.get(path) != right.get(path)
    ]


def _forget(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read(report: Path, ended: str) -> Run:
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    done = sum("done" in line for line in lines)
    return Run(
        ended=ended,
        opened=any("opened" in line for line in lines),
        done=done,
        started=sum("start" in line for line in lines),
        items=sum(line.get("item") == done for line in lines),
        view=next((line["view"] for line in lines if "view" in line), None),
        error=next((line["error"] for line in lines if "error" in line), ""),
        points=next((line["points"] for line in lines if "points" in line), {}),
    )


def _environment() -> dict[str, str]:
    """One thread in the parent: it forks."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
