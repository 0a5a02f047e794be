"""Files that fsspec's users open: random reads of one version, streamed writes, appends."""

from __future__ import annotations

import errno
import functools
import io
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from fsspec import spec

from holdfast.client import translate, upload
from holdfast.model import objects

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from holdfast.client import store as storing

BLOCK_BYTES = 4 << 20


class HoldfastFile(spec.AbstractBufferedFile):
    """One open file. Reads are of the version that was there when it was opened.

    Writes travel to the engine while they are made, and become visible on `close` (within a
    transaction: on its commit).
    """

    def __init__(self, fs: Any, path: str, mode: str, **options: Any) -> None:
        self._upload: upload.Upload | None = None
        self._whole: bytes | None = None
        store: storing.Store = fs.store
        self._store = store
        if mode != "rb":
            self._check_target(fs, path, mode)
        elif fs.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        super().__init__(fs, path, mode, **options)
        if mode == "ab" and fs.exists(path):
            self.loc = fs.info(path)["size"]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """What ends in an error is not published."""
        if error is not None and self.mode != "rb":
            self.discard()
        self.close()

    def commit(self) -> None:
        """Publish what was written."""
        with translate.as_os_errors(self.path):
            if self._upload is not None:
                self._upload.finish()
            elif self._whole is not None:
                self._send(self._whole)
        self._upload, self._whole = None, None

    def discard(self) -> None:
        """Forget what was written."""
        if self._upload is not None:
            self._upload.abort()
        self._upload, self._whole = None, None
        self.closed = True

    def _fetch_range(self, start: int, end: int) -> bytes:
        with translate.as_os_errors(self.path):
            version = self.details.get("version")
            return self._store.read(self.path, start, end - start, version=version)

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: FBT001, FBT002 - fsspec's signature
        """What fits in one block is put at once; what does not is streamed."""
        data = self.buffer.getvalue()
        if final and self._upload is None:
            self._whole = data
        else:
            if self._upload is None:
                self._upload = upload.Upload(self._send)
            with translate.as_os_errors(self.path):
                self._upload.write(data)
        if final and self.autocommit:
            self.commit()
        return True

    def _send(self, source: BinaryIO | bytes) -> objects.ObjectInfo:
        if self.mode == "ab" and self._store.exists(self.path):
            return self._store.append(self.path, source)
        return self._store.put(self.path, source, overwrite=self.mode != "xb")

    @staticmethod
    def _check_target(fs: Any, path: str, mode: str) -> None:
        if fs.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if mode == "xb" and fs.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


class _Told(io.RawIOBase):
    """A source that tells an fsspec callback what was read."""

    def __init__(self, source: BinaryIO, callback: Any) -> None:
        self._source = source
        self._callback = callback

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count: int = self._source.readinto(buffer)  # type: ignore[attr-defined]  # all binary files have it
        self._callback.relative_update(count)
        return count


def told(source: BinaryIO, callback: Any) -> BinaryIO:
    return cast(BinaryIO, _Told(source, callback))


def pour(source: BinaryIO, target: Any, callback: Any) -> None:
    """Copy all of `source` to an open file, or to the local path `target`."""
    if hasattr(target, "write"):
        for part in iter(functools.partial(source.read, BLOCK_BYTES), b""):
            target.write(part)
            callback.relative_update(len(part))
        return
    folder = os.path.dirname(target)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(target, "wb") as sink:
        pour(source, sink, callback)
