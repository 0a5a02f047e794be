"""A disk that misbehaves on request: FUSE daemon under a loop device under ext4 or XFS.

    with block_device(tmp_path / "disk") as disk:
        disk.add(Rule(operation="read", action="error", start=..., end=...))
        ... use disk.path ...

Every block write and flush is in `disk.log`, in order, with the marks of the test between them;
`replay` makes images out of any prefix of it. Root is needed, and what need.root names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import mounts
from tests.support.blockdev_daemon import IMAGE_NAME, Rule

PROJECT = Path(__file__).parents[2]
START_TIMEOUT_S = 15.0
COMMANDS = ("losetup", "mkfs.ext4", "mkfs.xfs", "fusermount3")

__all__ = ["COMMANDS", "BlockDevice", "Rule", "block_device"]


class BlockDevice:
    """A mounted file system on a disk under the test's control."""

    def __init__(self, folder: Path, daemon: subprocess.Popen[str]) -> None:
        self.path = folder
        self.image = folder.with_name(folder.name + ".img")
        self.base = folder.with_name(folder.name + ".base")
        self.log = folder.with_name(folder.name + ".log")
        self._daemon = daemon
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> int:
        """Put a rule in force; its number."""
        return int(self._ask("add", **dataclasses.asdict(rule))["rule"])

    def clear(self) -> None:
        """A healthy disk again; calls that hang go on."""
        self._ask("clear")

    def mark(self, text: str) -> None:
        """Note in the log that the test has now seen something acknowledged."""
        self._ask("mark", text=text)

    def flip(self, offset: int, mask: int = 0x01) -> None:
        """Silent corruption of one byte of the disk."""
        self._ask("flip", offset=offset, mask=mask)

    def calls(self) -> dict[str, int]:
        """How many reads, writes and flushes the disk has seen."""
        return dict(self._ask("report")["calls"])

    def hits(self, rule: int) -> int:
        return int(self._ask("report")["hits"][str(rule)])

    def hanging(self) -> int:
        """Calls that wait for `clear`."""
        return int(self._ask("report")["hanging"])

    def find(self, needle: bytes) -> int:
        """Where on the disk `needle` lies. Raises ValueError."""
        return self.image.read_bytes().index(needle)

    def _ask(self, command: str, **fields: Any) -> dict[str, Any]:
        with self._lock:
            assert self._daemon.stdin is not None
            assert self._daemon.stdout is not None
            self._daemon.stdin.write(json.dumps({"command": command, **fields}) + "\n")
            self._daemon.stdin.flush()
            reply: dict[str, Any] = json.loads(self._daemon.stdout.readline())
            return reply


@contextlib.contextmanager
def block_device(
    folder: Path, kind: str = "ext4", size_bytes: int | None = None
) -> Iterator[BlockDevice]:
    """A fresh disk mounted at `folder`. All of it is gone afterwards, except log and images."""
    image = folder.with_name(folder.name + ".img")
    mounts.make_image(image, kind, size_bytes)
    mounts.copy_image(image, folder.with_name(folder.name + ".base"))
    with contextlib.ExitStack() as stack:
        served = folder.with_name(folder.name + ".fuse")
        daemon = stack.enter_context(_daemon(image, served))
        disk = BlockDevice(folder, daemon)
        device = stack.enter_context(mounts.attached(served / IMAGE_NAME))
        stack.enter_context(mounts.mounted(device, folder))
        stack.callback(disk.clear)
        yield disk


@contextlib.contextmanager
def _daemon(image: Path, served: Path) -> Iterator[subprocess.Popen[str]]:
    """The FUSE process, answering; ended through its standard input."""
    served.mkdir()
    log = image.with_suffix(".log")
    command = [sys.executable, "-m", "tests.support.blockdev_daemon"]
    process = subprocess.Popen(
        [*command, str(image), str(log), str(served)],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        _wait_until_served(served, process)
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(START_TIMEOUT_S)
        process.stdout.close()
        mounts.unmount(served)


def _wait_until_served(served: Path, process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + START_TIMEOUT_S
    while not (served / IMAGE_NAME).exists():
        if process.poll() is not None or time.monotonic() > end_s:
            raise RuntimeError(f"the disk daemon did not start: exit {process.poll()}")
        time.sleep(0.02)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, without the product's help."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
