"""Durable changes to files, each a named crash point.

Every step that matters after a crash goes through here: `write`, `sync`, `publish`, `sync_folder`,
`remove`. Each calls `crash_point(name)` before it acts and, for `write`, may be stopped midway.
The fault harness installs a hook and kills the process at each point; the product never does.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

Buffer = bytes | bytearray | memoryview
Hook = Callable[[str], None]

_hook: Hook | None = None


def set_hook(hook: Hook | None) -> None:
    """Call `hook` with the name of every crash point that is passed, in whichever thread."""
    global _hook  # noqa: PLW0603 - one switch for the process, used by the fault harness
    _hook = hook


def crash_point(name: str) -> None:
    """A place where a crash must not hurt. Free when no hook is installed."""
    if _hook is not None:
        _hook(name)


def write(descriptor: int, data: Buffer, offset: int, *, point: str) -> None:
    """Write all of `data` at `offset`. Raises OSError."""
    crash_point(point)
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)


def sync(descriptor: int, *, point: str) -> None:
    """Make the contents durable. A failure is final: the descriptor must not be used again."""
    crash_point(point)
    os.fdatasync(descriptor)


def sync_folder(path: Path | str, *, point: str) -> None:
    """Make the names in a folder durable."""
    crash_point(point)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(source: Path | str, target: Path | str, *, point: str) -> None:
    """Rename a complete, synced file to the name under which others see it."""
    crash_point(point)
    os.rename(source, target)


def remove(path: Path | str, *, point: str) -> None:
    """Remove a file; one that is already gone is fine."""
    crash_point(point)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def make_folder(path: Path, *, point: str) -> None:
    """Create a folder and make its name durable in its parent; parents must exist."""
    crash_point(point)
    try:
        path.mkdir(mode=0o750)
    except FileExistsError:
        return
    sync_folder(path.parent, point=point + ".sync")


def write_file(path: Path, data: Buffer, *, point: str, mode: int = 0o640) -> None:
    """Replace `path` with `data`, durably and all at once."""
    with replacing(path, point=point, mode=mode) as descriptor:
        write(descriptor, data, 0, point=point + ".write")


@contextlib.contextmanager
def replacing(path: Path, *, point: str, mode: int = 0o640) -> Iterator[int]:
    """A descriptor whose contents replace `path`, durably, when the block ends without an error."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.fchmod(descriptor, mode)
        yield descriptor
        sync(descriptor, point=point + ".sync")
        publish(name, path, point=point + ".publish")
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent, point=point + ".sync_folder")
