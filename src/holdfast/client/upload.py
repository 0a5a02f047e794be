"""Hand bytes that are written bit by bit to an engine that reads them from a source.

The engine's `put` or `append` runs in a thread of its own and reads from a bounded pipe. What ends
in `finish` becomes visible at once; what ends in `abort` leaves nothing.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from holdfast.model import objects

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNKS_MAX = 2


class Aborted(Exception):  # noqa: N818 - it never leaves this module
    """Raised into the engine so that the object is not published."""


class Upload:
    """One object on its way. `write`, then `finish` or `abort`, all from one thread."""

    def __init__(self, send: Callable[[BinaryIO], objects.ObjectInfo]) -> None:
        self._send = send
        self._pipe = _Pipe()
        self._info: objects.ObjectInfo | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="holdfast-upload", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Waits while the engine is behind. Raises the engine's error when it has failed."""
        if data and not self._pipe.put(data):
            self._thread.join()
            self._raise()

    def finish(self) -> objects.ObjectInfo:
        """Raises the engine's error."""
        self._pipe.end()
        self._thread.join()
        self._raise()
        assert self._info is not None
        return self._info

    def abort(self) -> None:
        """Nothing becomes visible, unless it was finished already."""
        self._pipe.abort()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._info = self._send(cast(BinaryIO, self._pipe))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that writes
            self._error = error
        finally:
            self._pipe.leave()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class _Pipe(io.RawIOBase):
    """Chunks that wait to be read, a few at most."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._chunks: deque[memoryview] = deque()
        self._ended = False
        self._aborted = False
        self._left = False

    def readable(self) -> bool:
        return True

    def put(self, data: bytes) -> bool:
        """False when nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or len(self._chunks) < CHUNKS_MAX)
            if self._left:
                return False
            self._chunks.append(memoryview(data))
            self._changed.notify_all()
            return True

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abort(self) -> None:
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    def leave(self) -> None:
        """The reader is done, or has failed."""
        with self._changed:
            self._left = True
            self._chunks.clear()
            self._changed.notify_all()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Full, but at the end: engines may take a short read for the end of a cell."""
        target = memoryview(buffer).cast("B")
        done = 0
        while done < len(target):
            part = self._take(len(target) - done)
            if not part:
                break
            target[done : done + len(part)] = part
            done += len(part)
        return done

    def _take(self, limit: int) -> memoryview:
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._ended or self._aborted)
            if self._aborted:
                raise Aborted
            if not self._chunks:
                return memoryview(b"")
            chunk = self._chunks.popleft()
            if len(chunk) > limit:
                self._chunks.appendleft(chunk[limit:])
            self._changed.notify_all()
            return chunk[:limit]
