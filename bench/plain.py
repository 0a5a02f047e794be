"""The references: the same work on plain files. No line of the product in it.

Each is a generator as told in bench.work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.sources import RECORD_BYTES, make_tree

Work = Iterator[Any]


def create_tree(folder: str, count: int) -> Work:
    yield count
    make_tree(Path(folder), count)
    os.sync()
    yield {}


def put_small(folder: str, name: str, count: int, threads: int) -> Work:
    """Single-copy files of 4 KiB with fsync of file and folder; a folder for each thread."""
    record = os.urandom(RECORD_BYTES)
    root = Path(folder) / name
    folders = []
    for thread in range(threads):
        (root / str(thread)).mkdir(parents=True)
        folders.append(os.open(root / str(thread), os.O_RDONLY | os.O_DIRECTORY))
    yield count

    def put(number: int) -> None:
        place = folders[number % threads]
        descriptor = os.open(str(number), os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=place)
        os.write(descriptor, record)
        os.fsync(descriptor)
        os.close(descriptor)
        os.fsync(place)

    yield spread(put, count, threads)
    shutil.rmtree(root)


def copy(tree: str, target: str, count: int) -> Work:
    """`cp -r` of the tree, synced."""
    yield count
    subprocess.run(["cp", "-r", tree, target], check=True)
    subprocess.run(["sync", "-f", target], check=True)
    yield {}
    shutil.rmtree(target)


def spread(act: Callable[[int], None], count: int, threads: int) -> dict[str, Any]:
    """act(0) ... act(count - 1), thread t taking every number that is t modulo threads."""
    failures: list[BaseException] = []

    def carry_out(first: int) -> None:
        try:
            for number in range(first, count, threads):
                act(number)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)

    workers = [threading.Thread(target=carry_out, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    return {}
