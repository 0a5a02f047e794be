"""The local side of a copy: walking folders to put, and files that appear whole when got."""

from __future__ import annotations

import contextlib
import enum
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast import errors
from holdfast.kit import atomic
from holdfast.model import objects

NO_ATTRIBUTES = objects.Attributes()


class LocalKind(enum.Enum):
    """What a copy does with it: put it, make it, or leave it out."""

    FILE = "file"
    FOLDER = "folder"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEntry:
    """`target` is where it arrives in the store; `problem` why it is skipped."""

    kind: LocalKind
    path: str
    target: str
    size_bytes: int = 0
    attributes: objects.Attributes = NO_ATTRIBUTES
    problem: errors.HoldfastError | None = None


def printable(path: str) -> str:
    """The path as it may be shown: control characters and invalid UTF-8 escaped."""
    if path.isprintable():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").translate(
        {code: f"\\x{code:02x}" for code in (*range(32), 127)}
    )


def scan(source: str, target: str) -> Iterator[LocalEntry]:
    """A file, or a folder and all below it, with where each arrives. Symlinks are not followed.

    Raises NotFoundError, RefusedError when the source itself cannot be read.
    """
    try:
        found = os.lstat(source)
    except OSError as error:
        raise not_readable(source, error) from error
    first = _entry(source, target, found)
    yield first
    if first.kind is LocalKind.FOLDER:
        yield from _below(source, target)


def not_readable(path: str, error: OSError) -> errors.HoldfastError:
    if isinstance(error, FileNotFoundError):
        return errors.NotFoundError(
            "local.missing", "there is no local file {path}",
            hint="check the path; holdfast get reads from the store, put from local files",
            path=printable(path),
        )
    return errors.RefusedError(
        "local.unreadable", "{path} cannot be read: {reason}",
        hint="check the file and its permissions, then run the command again",
        path=printable(path), reason=error.strerror or type(error).__name__,
    )


def not_writable(path: str, error: OSError) -> errors.HoldfastError:
    return errors.RefusedError(
        "local.unwritable", "{path} cannot be written: {reason}",
        hint="check the folder, its permissions and the free space, then run the command again",
        path=printable(path), reason=error.strerror or type(error).__name__,
    )


@contextlib.contextmanager
def arriving(path: str, *, overwrite: bool, sync: bool) -> Iterator[int]:
    """A descriptor whose contents appear as `path` when the block ends without an error.

    Without `overwrite` the name must be free, and stays so until then: RefusedError otherwise.
    """
    folder = os.path.dirname(path) or "."
    if not overwrite and os.path.lexists(path):
        raise _taken(path)
    if overwrite and os.path.isdir(path):
        raise errors.RefusedError(
            "local.is_folder", "{path} is a folder; a file will not replace it",
            hint="choose another target, or remove the folder", path=printable(path),
        )
    descriptor, name = tempfile.mkstemp(prefix=".holdfast-", dir=folder)
    try:
        yield descriptor
        if sync:
            atomic.sync(descriptor, point="get.sync")
        _publish(name, path, overwrite=overwrite)
        if sync:
            atomic.sync_folder(folder, point="get.sync_folder")
    finally:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _publish(name: str, path: str, *, overwrite: bool) -> None:
    if overwrite:
        atomic.publish(name, path, point="get.publish")
        return
    try:
        os.link(name, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise _taken(path) from None
        atomic.publish(name, path, point="get.publish")


def _taken(path: str) -> errors.RefusedError:
    return errors.RefusedError(
        "local.exists", "{path} is already there",
        hint="choose another target, or add --overwrite", path=printable(path),
    )


def _below(source: str, target: str) -> Iterator[LocalEntry]:
    """Depth first, names in order of their bytes; a folder before what it holds."""
    waiting = [(source, target)]
    while waiting:
        folder, place = waiting.pop()
        try:
            with os.scandir(folder) as rows:
                names = sorted((row.name for row in rows), key=os.fsencode)
        except OSError as error:
            yield _left_out(folder, place, not_readable(folder, error))
            continue
        folders = []
        for name in names:
            entry = _look(os.path.join(folder, name), objects.join(place, name))
            yield entry
            if entry.kind is LocalKind.FOLDER:
                folders.append((entry.path, entry.target))
        waiting.extend(reversed(folders))


def _look(path: str, target: str) -> LocalEntry:
    try:
        return _entry(path, target, os.lstat(path))
    except OSError as error:
        return _left_out(path, target, not_readable(path, error))


def _entry(path: str, target: str, found: os.stat_result) -> LocalEntry:
    if stat.S_ISLNK(found.st_mode):
        return _left_out(path, target, _is_symlink(path))
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return _left_out(path, target, _is_special(path))
    try:
        place = objects.check_path(target)
    except errors.ConfigError as error:
        return _left_out(path, target, error)
    kind = LocalKind.FOLDER if stat.S_ISDIR(found.st_mode) else LocalKind.FILE
    attributes = objects.Attributes(
        modified_ns=found.st_mtime_ns, mode=stat.S_IMODE(found.st_mode)
    )
    size_bytes = found.st_size if kind is LocalKind.FILE else 0
    return LocalEntry(
        kind=kind, path=path, target=place, size_bytes=size_bytes, attributes=attributes
    )


def _left_out(path: str, target: str, problem: errors.HoldfastError) -> LocalEntry:
    return LocalEntry(kind=LocalKind.SKIPPED, path=path, target=target, problem=problem)


def _is_symlink(path: str) -> errors.HoldfastError:
    return errors.RefusedError(
        "copy.symlink", "{path} is a symbolic link",
        hint="put what it points to, under the name that it should have", path=printable(path),
    )


def _is_special(path: str) -> errors.HoldfastError:
    return errors.RefusedError(
        "copy.special", "{path} is a device, socket or pipe",
        hint="to store what it yields, pipe that into: holdfast put - TARGET",
        path=printable(path),
    )
