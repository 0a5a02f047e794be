"""A network namespace with nothing but loopback, so that no peer listens or reaches outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HOST = "bench-peer"
START_TIMEOUT_S = 60.0


@contextlib.contextmanager
def namespace(name: str) -> Iterator[tuple[str, ...]]:
    """The command that runs another one inside. Every process in it is ended afterwards.

    In it HOST is this machine: a name that is not `localhost`, which some peers refuse.
    """
    inside = ("ip", "netns", "exec", name)
    files = Path("/etc/netns") / name
    files.mkdir(parents=True, exist_ok=True)
    (files / "hosts").write_text(f"127.0.0.1 localhost\n127.0.0.1 {HOST}\n")
    run("ip", "netns", "add", name)
    try:
        run(*inside, "ip", "link", "set", "lo", "up")
        yield inside
    finally:
        for pid in run("ip", "netns", "pids", name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", name)
        shutil.rmtree(files)
        with contextlib.suppress(OSError):
            files.parent.rmdir()


@contextlib.contextmanager
def daemon(*command: str, log: Path) -> Iterator[None]:
    """A program in the foreground, ended with SIGTERM and, if it must be, SIGKILL."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(*command: str, timeout_s: float = 120.0) -> str:
    """Output of a command. Raises RuntimeError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_until(ready: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if time.monotonic() > end_s:
            raise RuntimeError(f"{what} was not up in {START_TIMEOUT_S:.0f} s")
        time.sleep(0.3)


def missing(*programs: tuple[str, str]) -> str:
    """What this machine lacks of (program, Debian package); empty: nothing."""
    if os.geteuid() != 0:
        return "needs root"
    for program, package in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: {package})"
    return ""
