"""The machine's ceilings: no line of the product in it.

W: durable write of six files together, in parallel, the better of buffered + fdatasync and
O_DIRECT + fdatasync. R: cold read of the same files. Run by itself:

    python bench/ceilings.py FOLDER [--gib 4] [--rounds 5]
"""

from __future__ import annotations

import argparse
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

FILES = 6
BLOCK_BYTES = 4 << 20
_WARM_SHARE = 0.7


def warm_memory() -> int:
    """Touch most of the free memory once; the first touch of a guest's page is slow. Bytes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available_kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    size = int(available_kib * 1024 * _WARM_SHARE) // BLOCK_BYTES * BLOCK_BYTES
    child = os.fork()
    if child == 0:
        area = mmap.mmap(-1, size)
        for offset in range(0, size, mmap.PAGESIZE):
            area[offset] = 1
        os._exit(0)
    os.waitpid(child, 0)
    return size


def write_s(folder: Path, size_bytes: int) -> dict[str, float]:
    """Seconds to write the files durably, by means. The files of the last means stay."""
    return {
        "buffered": _timed(lambda number: _write(folder, number, size_bytes, 0), folder),
        "direct": _timed(lambda number: _write(folder, number, size_bytes, os.O_DIRECT), folder),
    }


def read_s(folder: Path, size_bytes: int) -> float:
    """Seconds to read the files that `write_s` left, cold."""
    forget(folder)
    return _timed(lambda number: _read(folder, number, size_bytes))


def forget(folder: Path) -> None:
    """Empty the page cache: of the machine as root, else of the files of `folder`."""
    if os.geteuid() == 0:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def remove(folder: Path) -> None:
    for number in range(FILES):
        _file(folder, number).unlink(missing_ok=True)


def _timed(work: Callable[[int], None], synced: Path | None = None) -> float:
    """Seconds until all files are done, and their folder synced."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(FILES)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if synced is not None:
        descriptor = os.open(synced, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return time.perf_counter() - started


def _file(folder: Path, number: int) -> Path:
    return folder / f"ceiling{number}"


def _share(size_bytes: int) -> int:
    return size_bytes // FILES // BLOCK_BYTES * BLOCK_BYTES


def _write(folder: Path, number: int, size_bytes: int, flags: int) -> None:
    path = _file(folder, number)
    path.unlink(missing_ok=True)
    buffer = mmap.mmap(-1, BLOCK_BYTES)
    buffer.write(os.urandom(BLOCK_BYTES))
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | flags, 0o600)
    for offset in range(0, _share(size_bytes), BLOCK_BYTES):
        if os.pwrite(descriptor, buffer, offset) != BLOCK_BYTES:
            raise OSError(f"short write to {path}")
    os.fdatasync(descriptor)
    os.close(descriptor)


def _read(folder: Path, number: int, size_bytes: int) -> None:
    buffer = mmap.mmap(-1, BLOCK_BYTES)
    descriptor = os.open(_file(folder, number), os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    for offset in range(0, _share(size_bytes), BLOCK_BYTES):
        if os.preadv(descriptor, [buffer], offset) != BLOCK_BYTES:
            raise OSError("short read")
    os.close(descriptor)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gib", type=float, default=4.0, help="size of the six files together")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    size = int(arguments.gib * (1 << 30))
    warm_memory()
    written = _share(size) * FILES
    for _ in range(arguments.rounds):
        seconds = write_s(arguments.folder, size)
        read = read_s(arguments.folder, size)
        means = ", ".join(f"{name} {written / took / 1e6:.0f}" for name, took in seconds.items())
        print(f"write MB/s: {means}; cold read MB/s: {written / read / 1e6:.0f}")
    remove(arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
