"""holdfast:// for fsspec: pandas, pyarrow, DuckDB, zarr and all else that speaks it.

    fs = fsspec.filesystem("holdfast", file="holdfast.yaml")
"""  # noqa: D208 - the example keeps its indentation

from __future__ import annotations

import datetime
import errno
import hashlib
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

from fsspec import callbacks, spec
from fsspec.utils import isfilelike

from holdfast import errors
from holdfast.client import files, translate
from holdfast.client import store as storing
from holdfast.engines import api
from holdfast.model import objects

PROTOCOL = "holdfast"
COPY_BYTES = 4 << 20


class HoldfastFileSystem(spec.AbstractFileSystem):
    """One store as a file system. Paths are the store's own: /dataset/folder/name.

    Options: `file`, `state` and `read_only` as of `holdfast.open`; or `store`, an open Store.
    What is written appears whole when the file is closed; what fails, or ends a `with` block with
    an error, leaves nothing.
    """

    protocol: ClassVar[str] = PROTOCOL
    root_marker = "/"

    def __init__(
        self,
        file: str | None = None,
        *,
        state: str | None = None,
        read_only: bool = False,
        store: storing.Store | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._file = None if file is None else os.path.abspath(file)
        self._state = state
        self._read_only = read_only
        self._store = store
        self._opening = threading.Lock()

    @property
    def fsid(self) -> str:
        return f"{PROTOCOL}:{self.store.spec.cluster}:{self.store.spec.file}"

    @property
    def store(self) -> storing.Store:
        """Opened when it is first needed, closed when the process ends."""
        with self._opening:
            if self._store is None:
                with translate.as_os_errors(self._file):
                    self._store = storing.open_store(
                        self._file, state=self._state, read_only=self._read_only
                    )
                weakref.finalize(self, self._store.close)
            return self._store

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        plain = os.fspath(path).removeprefix(f"{PROTOCOL}://").strip("/")
        return "/" + "/".join(name for name in plain.split("/") if name)

    @staticmethod
    def _get_kwargs_from_urls(_path: str) -> dict[str, Any]:
        return {}

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        plain = self._strip_protocol(path)
        if plain == "/":
            return {"name": "/", "size": 0, "type": "directory"}
        with translate.as_os_errors(plain):
            return _details(self.store.stat(plain))

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's signature
        plain = self._strip_protocol(path)
        with translate.as_os_errors(plain):
            rows = [_details(one) for one in self.store.list_objects(plain, recursive=False)]
        return rows if detail else [row["name"] for row in rows]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,  # noqa: FBT001, FBT002 - fsspec's signature
        detail: bool = False,  # noqa: FBT001, FBT002 - fsspec's signature
        **options: Any,
    ) -> Any:
        """One walk by the engine, unless folders or a depth are asked for."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **options)
        plain = self._strip_protocol(path)
        try:
            with translate.as_os_errors(plain):
                rows = {one.path: one for one in self.store.list_objects(plain, recursive=True)}
        except FileNotFoundError:
            rows = {}
        names = sorted(rows)
        return {name: _details(rows[name]) for name in names} if detail else names

    def exists(self, path: str, **_options: Any) -> bool:
        try:
            self.info(path)
        except (FileNotFoundError, ValueError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.EINVAL:  # a path that no object can have
                return False
            raise
        return True

    def created(self, path: str) -> datetime.datetime:
        """The store keeps one time: that of the content."""
        return self.modified(path)

    def modified(self, path: str) -> datetime.datetime:
        found: datetime.datetime = self.info(path)["modified"]
        return found

    def checksum(self, path: str) -> int:
        return int(self.ukey(path)[:16], 16)

    def ukey(self, path: str) -> str:
        """Changes when the content does."""
        found = self.info(path)
        return hashlib.sha256(f"{found['name']}\0{found.get('version', '')}".encode()).hexdigest()

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,  # noqa: FBT001, FBT002 - fsspec's signature
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> files.HoldfastFile:
        plain = self._strip_protocol(path)
        return files.HoldfastFile(
            self, plain, mode, block_size=block_size or files.BLOCK_BYTES, autocommit=autocommit,
            cache_options=cache_options, **options,
        )

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_options: Any
    ) -> bytes:
        plain = self._strip_protocol(path)
        with translate.as_os_errors(plain):
            if not start and end is None:
                return self.store.read(plain)
            found = self.store.stat(plain)
            first, past, _step = slice(start, end).indices(found.size_bytes)
            if past <= first:
                return b""
            return self.store.read(plain, first, past - first, version=found.version)

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **_options: Any) -> None:
        plain = self._strip_protocol(path)
        with translate.as_os_errors(plain):
            self.store.put(plain, value, overwrite=mode != "create")

    def put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Any = callbacks.DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **_options: Any,
    ) -> None:
        if os.path.isdir(lpath):
            self.makedirs(rpath, exist_ok=True)
            return
        plain = self._strip_protocol(rpath)
        with open(lpath, "rb", buffering=0) as source, translate.as_os_errors(plain):
            callback.set_size(os.fstat(source.fileno()).st_size)
            self.store.put(
                plain, files.told(source, callback), overwrite=mode != "create"
            )

    def get_file(
        self,
        rpath: str,
        lpath: Any,
        callback: Any = callbacks.DEFAULT_CALLBACK,
        outfile: Any = None,
        **_options: Any,
    ) -> None:
        plain = self._strip_protocol(rpath)
        sink = lpath if outfile is None and isfilelike(lpath) else outfile
        if sink is None and self.isdir(plain):
            os.makedirs(lpath, exist_ok=True)
            return
        with translate.as_os_errors(plain):
            callback.set_size(self.store.stat(plain).size_bytes)
            with self.store.get(plain) as source:
                files.pour(source, sink if sink is not None else lpath, callback)

    def cp_file(self, path1: str, path2: str, **_options: Any) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.isdir(source):
            self.makedirs(target, exist_ok=True)
            return
        if source == target:
            return
        with translate.as_os_errors(source):
            found = self.store.stat(source)
            with self.store.get(source, version=found.version) as opened:
                self.store.put(
                    target, opened, size=found.size_bytes, overwrite=True,
                    attributes=found.attributes,
                )

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,  # noqa: FBT001, FBT002 - fsspec's signature
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """A rename where nothing stands in the way; otherwise a copy, then a removal."""
        if isinstance(path1, str) and isinstance(path2, str) and maxdepth is None:
            source, target = self._strip_protocol(path1), self._strip_protocol(path2)
            if source == target or self._renamed(source, target, recursive=recursive):
                return
        super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **options)

    def rm_file(self, path: str) -> None:
        plain = self._strip_protocol(path)
        with translate.as_os_errors(plain):
            self.store.delete(plain)

    def _rm(self, path: str) -> None:
        self.rm_file(path)

    def rm(
        self,
        path: Any,
        recursive: bool = False,  # noqa: FBT001, FBT002 - fsspec's signature
        maxdepth: int | None = None,
    ) -> None:
        if maxdepth is not None:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        for one in path if isinstance(path, list) else [path]:
            for found in self._matches(one):
                with translate.as_os_errors(found):
                    self.store.delete(found, recursive=recursive)

    def rmdir(self, path: str) -> None:
        plain = self._strip_protocol(path)
        if self.info(plain)["type"] != "directory":
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), plain)
        self.rm_file(plain)

    def mkdir(self, path: str, create_parents: bool = True, **_options: Any) -> None:  # noqa: FBT001, FBT002 - fsspec's signature
        plain = self._strip_protocol(path)
        if self.exists(plain):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), plain)
        if not create_parents and not self.exists(self._parent(plain)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._parent(plain))
        self._make_folder(plain)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - fsspec's signature
        plain = self._strip_protocol(path)
        if not exist_ok and self.exists(plain):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), plain)
        self._make_folder(plain)

    def touch(self, path: str, truncate: bool = True, **_options: Any) -> None:  # noqa: FBT001, FBT002 - fsspec's signature
        """Make it an empty object. Without `truncate` what is there is left as it is: the time of
        an object is that of its content."""
        plain = self._strip_protocol(path)
        if truncate or not self.exists(plain):
            with translate.as_os_errors(plain):
                self.store.put(plain, b"", overwrite=True)

    def _make_folder(self, path: str) -> None:
        """Kept where the engine has folders; elsewhere they come with what is put in them."""
        if path != "/" and api.extra(self.store.engine, api.Folders) is not None:
            with translate.as_os_errors(path):
                self.store.make_folder(path)

    def _matches(self, path: str) -> Iterator[str]:
        plain = self._strip_protocol(path)
        if self.exists(plain) or not any(one in plain for one in "*?["):
            yield plain
            return
        yield from self.expand_path(plain)

    def _renamed(self, source: str, target: str, *, recursive: bool) -> bool:
        """Whether a rename did it. False where fsspec's own copy and removal must."""
        try:
            found = self.store.stat(source)
            if found.kind is objects.ObjectKind.FOLDER and not recursive:
                return False
            if self.isdir(target):
                target = objects.join(target, source.rpartition("/")[2])
            self.store.rename(source, target)
        except (errors.RefusedError, errors.NotFoundError):
            return False
        return True


def _details(info: objects.ObjectInfo) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": info.path,
        "size": info.size_bytes,
        "type": "directory" if info.kind is objects.ObjectKind.FOLDER else "file",
        "modified": datetime.datetime.fromtimestamp(info.modified_ns / 1e9, tz=datetime.UTC),
        "mtime": info.modified_ns / 1e9,
    }
    if info.kind is objects.ObjectKind.OBJECT:
        row |= {"version": info.version, "digest": info.digest, "margin": info.margin}
        if info.attributes.mode is not None:
            row["mode"] = info.attributes.mode
    return row
