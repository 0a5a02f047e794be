"""holdfast's errors as the OSErrors that users of files expect, each with its cause."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from holdfast import errors
from holdfast.kit import language

NUMBERS = {
    "object.exists": errno.EEXIST,
    "object.is_folder": errno.EISDIR,
    "object.parent_is_object": errno.ENOTDIR,
    "folder.is_object": errno.ENOTDIR,
    "folder.not_empty": errno.ENOTEMPTY,
    "snapshot.read_only": errno.EROFS,
    "engine.read_only": errno.EROFS,
    "quota.full": errno.EDQUOT,
    "space.full": errno.ENOSPC,
    "rename.across_datasets": errno.EXDEV,
    "append.erasure": errno.EOPNOTSUPP,
    "object.changed": errno.ESTALE,
}
BRANCHES: tuple[tuple[type[errors.HoldfastError], int], ...] = (
    (errors.NotFoundError, errno.ENOENT),
    (errors.NotInitialisedError, errno.ENOENT),
    (errors.ConfigError, errno.EINVAL),
    (errors.RefusedError, errno.EPERM),
    (errors.UnavailableError, errno.EAGAIN),
    (errors.AuthError, errno.EACCES),
)


@contextlib.contextmanager
def as_os_errors(path: str | None = None) -> Iterator[None]:
    """Raises OSError (FileNotFoundError, FileExistsError, ...) from any HoldfastError."""
    try:
        yield
    except errors.HoldfastError as error:
        raise os_error(error, path) from error


def os_error(error: errors.HoldfastError, path: str | None) -> OSError:
    message, hint = errors.render(error, language.text)
    told = f"{message}; {hint}" if hint else message
    return OSError(number_of(error), told, path)


def number_of(error: errors.HoldfastError) -> int:
    if error.code in NUMBERS:
        return NUMBERS[error.code]
    return next((number for kind, number in BRANCHES if isinstance(error, kind)), errno.EIO)
