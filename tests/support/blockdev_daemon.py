"""One image file served through FUSE, to lie under a loop device and misbehave on request.

Runs as a process of its own (`blockdev` starts it): the kernel's loop driver turns every block
write and flush of the file system above into a call here. Each is logged in order, and rules given
at run time make reads, writes and flushes fail, wait, hang, vanish or land elsewhere. Commands come
as JSON lines on standard input and are answered on standard output; its end ends the daemon.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
import struct
import subprocess
import sys
import threading
from typing import Any, cast

IMAGE_NAME = "image"
# Kind (W write, F flush, M mark), offset, length of the payload that follows.
LOG_HEADER = struct.Struct("<cQI")


@dataclasses.dataclass(kw_only=True)
class Rule:
    """What to do to the calls of one operation that touch [start, end).

    operation: read, write or flush (a flush has no range). action: error (`errno`), delay
    (`delay_s`), hang (until released), drop (answered as done, not done), shift (a write lands
    `shift_bytes` further). The first `skip` matching calls pass; at most `limit` are hit.
    """

    operation: str
    action: str
    start: int = 0
    end: int | None = None
    errno: int = errno.EIO
    delay_s: float = 0.0
    shift_bytes: int = 0
    skip: int = 0
    limit: int | None = None
    seen: int = 0
    hits: int = 0

    def claims(self, operation: str, offset: int, size: int) -> bool:
        """Whether this call is hit; counts it."""
        if operation != self.operation:
            return False
        end = self.end if self.end is not None else offset + size + 1
        if operation != "flush" and not (offset < end and offset + size > self.start):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.limit is not None and self.hits >= self.limit):
            return False
        self.hits += 1
        return True


class Faults:
    """The rules in force, and the calls seen so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[int, Rule] = {}
        self._next = 1
        self._released = threading.Event()
        self._hanging = 0
        self.calls = {"read": 0, "write": 0, "flush": 0}

    def add(self, rule: Rule) -> int:
        with self._lock:
            number = self._next
            self._next += 1
            self._rules[number] = rule
            return number

    def clear(self) -> None:
        """No rules any more; hanging calls go on."""
        with self._lock:
            self._rules.clear()
            self._released.set()
            self._released = threading.Event()

    def report(self) -> dict[str, Any]:
        with self._lock:
            hits = {str(number): rule.hits for number, rule in self._rules.items()}
            return {"calls": dict(self.calls), "hits": hits, "hanging": self._hanging}

    def meet(self, operation: str, offset: int, size: int) -> Rule | None:
        """Wait, hang or fail as the rules say; the rule that the caller must carry out, if any."""
        with self._lock:
            self.calls[operation] += 1
            hit = [rule for rule in self._rules.values() if rule.claims(operation, offset, size)]
            released = self._released
        for rule in hit:
            if rule.action == "delay":
                released.wait(rule.delay_s)
            elif rule.action == "hang":
                self._hang(released)
        for rule in hit:
            if rule.action == "error":
                raise OSError(rule.errno, os.strerror(rule.errno))
        return next((rule for rule in hit if rule.action in ("drop", "shift")), None)

    def _hang(self, released: threading.Event) -> None:
        with self._lock:
            self._hanging += 1
        released.wait()
        with self._lock:
            self._hanging -= 1


class Image:
    """The image file and the log of what was done to it."""

    def __init__(self, image: str, log: str) -> None:
        self.faults = Faults()
        self._descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._order = threading.Lock()

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, size: int, offset: int) -> bytes:
        rule = self.faults.meet("read", offset, size)
        return os.pread(self._descriptor, size, offset + (rule.shift_bytes if rule else 0))

    def write(self, data: bytes, offset: int) -> int:
        rule = self.faults.meet("write", offset, len(data))
        if rule is None or rule.action != "drop":
            offset += rule.shift_bytes if rule else 0
            with self._order:
                self._append(b"W", offset, data)
                os.pwrite(self._descriptor, data, offset)
        return len(data)

    def flush(self) -> None:
        self.faults.meet("flush", 0, 0)
        with self._order:
            self._append(b"F", 0, b"")

    def mark(self, text: str) -> None:
        with self._order:
            self._append(b"M", 0, text.encode())

    def flip(self, offset: int, mask: int) -> None:
        """Change one byte behind the log's back, as silent corruption does."""
        with self._order:
            byte = os.pread(self._descriptor, 1, offset)[0]
            os.pwrite(self._descriptor, bytes([byte ^ mask]), offset)

    def _append(self, kind: bytes, offset: int, payload: bytes) -> None:
        os.writev(self._log, [LOG_HEADER.pack(kind, offset, len(payload)), payload])


def answer(image: Image, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one command."""
    command = request.pop("command")
    if command == "add":
        return {"rule": image.faults.add(Rule(**request))}
    if command == "clear":
        image.faults.clear()
    elif command == "mark":
        image.mark(request["text"])
    elif command == "flip":
        image.flip(request["offset"], request["mask"])
    return image.faults.report()


def obey(image: Image, mountpoint: str) -> None:
    """Answer commands until standard input ends, then leave."""
    for line in sys.stdin:
        print(json.dumps(answer(image, json.loads(line))), flush=True)
    image.faults.clear()
    subprocess.run(["fusermount3", "-u", "-z", mountpoint], check=False, capture_output=True)
    os._exit(0)


def main() -> None:
    import mfusepy  # noqa: PLC0415 - needs libfuse, which only the root lane has

    image_path, log_path, mountpoint = sys.argv[1:4]
    image = Image(image_path, log_path)

    class Calls(mfusepy.Operations):
        use_ns = True

        def getattr(self, path: str, fh: object = None) -> dict[str, int]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
            if path != "/" + IMAGE_NAME:
                raise mfusepy.FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": image.size()}

        def readdir(self, path: str, fh: object) -> list[str]:
            return [".", "..", IMAGE_NAME]

        def open(self, path: str, information: Any) -> int:
            information.direct_io = True
            return 0

        def read(self, path: str, size: int, offset: int, fh: object) -> bytes:
            return image.read(size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: object) -> int:
            return image.write(data, offset)

        def fsync(self, path: str, datasync: int, fh: object) -> int:
            image.flush()
            return 0

    threading.Thread(target=obey, args=(image, mountpoint), daemon=True).start()
    mfusepy.FUSE(
        cast(Any, Calls()), mountpoint, raw_fi=True, foreground=True, fsname="holdfast-test-disk"
    )


if __name__ == "__main__":
    main()
