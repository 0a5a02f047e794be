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

from bench.sources import RECORD_BYTES, Repeated, make_tree

Work = Iterator[Any]
BLOCK_BYTES = 4 << 20


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


def put_files(folder: str, total: int, files: int, threads: int) -> Work:
    """Big files of `total` bytes together, each with fsync of file and folder."""
    size = total // files
    root = Path(folder)
    sources = [Repeated(size, seed=number) for number in range(files)]
    yield size * files

    def put(number: int) -> None:
        buffer = memoryview(bytearray(BLOCK_BYTES))
        descriptor = os.open(root / f"large{number}", os.O_CREAT | os.O_WRONLY, 0o600)
        while count := sources[number].readinto(buffer):
            write_all(descriptor, buffer[:count])
        os.fsync(descriptor)
        os.close(descriptor)
        sync_folder(root)

    yield spread(put, files, threads)


def get_files(folder: str, total: int, files: int, threads: int) -> Work:
    """The same files, each read to its end."""
    size = total // files
    yield size * files

    def get(number: int) -> None:
        buffer = bytearray(BLOCK_BYTES)
        got = 0
        with Path(folder, f"large{number}").open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                got += count
        if got != size:
            raise RuntimeError(f"file {number}: {got} of {size} bytes")

    yield spread(get, files, threads)


def write_all(descriptor: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += os.write(descriptor, data[done:])


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


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
