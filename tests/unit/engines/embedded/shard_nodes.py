"""Nodes in a temporary folder, some of which fail on request, and shards stored on them."""

from __future__ import annotations

import errno
import io
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from holdfast.engines.embedded import node, shard_reader, shard_writer
from holdfast.model import topology

T = TypeVar("T")

CLUSTER = bytes(range(16))
GROUP = 5
SHARD_BYTES_MAX = 64 << 20


class FailingDisk(node.NodeDisk):
    """A node whose writes fail from number `after` on with `error`; whose syncs fail on request."""

    def __init__(
        self, number: int, root: Path, *, after: int, error: int, sync_fails: bool = False
    ) -> None:
        super().__init__(number, f"d{number}", str(uuid.UUID(int=number)), root)
        self._left = after
        self._error = error
        self._sync_fails = sync_fails
        self.writes_after_failure = 0
        self._failed = False

    def _pwritev(self, descriptor: int, views: list[memoryview], offset: int) -> int:
        if self._failed:
            self.writes_after_failure += 1
        if self._left <= 0:
            self._failed = True
            raise OSError(self._error, "injected")
        self._left -= 1
        return super()._pwritev(descriptor, views, offset)

    def _fdatasync(self, descriptor: int, point: str) -> None:
        if self._sync_fails:
            self._failed = True
            raise OSError(errno.EIO, "injected")
        super()._fdatasync(descriptor, point)


class HangingDisk(node.NodeDisk):
    """A node that answers `after` operations and then none until `release`."""

    def __init__(self, number: int, root: Path, *, after: int) -> None:
        super().__init__(number, f"d{number}", str(uuid.UUID(int=number)), root)
        self._left = after
        self._gate = threading.Event()

    def submit(
        self,
        call: Callable[..., T],
        *arguments: object,
        deadline_s: float = node.DEADLINE_S,
        even_if_suspect: bool = False,
    ) -> node.Operation[T]:
        hangs = self._left <= 0
        self._left -= 1

        def gated() -> T:
            if hangs:
                self._gate.wait(30)
            return call(*arguments)

        return super().submit(gated, deadline_s=deadline_s, even_if_suspect=even_if_suspect)

    def release(self) -> None:
        self._gate.set()


def plain_disk(number: int, root: Path) -> node.NodeDisk:
    return node.NodeDisk(number, f"d{number}", str(uuid.UUID(int=number)), root)


class Nodes:
    """Prepared nodes 0 to count-1 and a writer over them."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root
        self.disks: dict[int, node.NodeDisk] = {}
        for number in range(count):
            folder = root / f"n{number}"
            folder.mkdir()
            (folder / node.SENTINEL).write_text("{}")
            self.disks[number] = plain_disk(number, folder)
            self.disks[number].make_folders()
        self.damage: list[shard_reader.Damage] = []

    def folder(self, number: int) -> Path:
        return self.root / f"n{number}"

    def target(
        self, protection: topology.Protection, *, object_id: int = 7, number: int = 0
    ) -> shard_writer.ShardTarget:
        return shard_writer.ShardTarget(
            cluster_id=CLUSTER, dataset=1, object_id=object_id, number=number, epoch=3, sequence=9,
            protection=protection, group=GROUP, nodes=tuple(range(protection.width)),
            spares=self.spares, path="/data/clip.mp4",
        )  # fmt: skip

    def spares(self, taken: frozenset[int]) -> Iterator[int]:
        return iter([number for number in sorted(self.disks) if number not in taken])

    def put(
        self, protection: topology.Protection, data: bytes, *, deadline_s: float = 20.0
    ) -> shard_reader.ShardLocation:
        target = self.target(protection)
        writer = shard_writer.ShardWriter(self.disks, deadline_s=deadline_s)
        written, _ = writer.write(target, io.BytesIO(data), SHARD_BYTES_MAX)
        assert written is not None
        return location(target, written)

    def reader(
        self, where: shard_reader.ShardLocation, *, deadline_s: float = 20.0
    ) -> shard_reader.ShardReader:
        return shard_reader.ShardReader(
            self.disks, where, on_damage=self.damage.append, deadline_s=deadline_s
        )

    def get(
        self, where: shard_reader.ShardLocation, offset: int = 0, length: int | None = None
    ) -> bytes:
        out = bytearray(where.length - offset if length is None else length)
        reader = self.reader(where)
        try:
            reader.read_into(memoryview(out), offset)
        finally:
            reader.close()
        return bytes(out)

    def piece_path(self, where: shard_reader.ShardLocation, position: int) -> Path:
        disk = self.disks[where.nodes[position]]
        return disk.piece_path(where.group, where.object_id, where.number, position)

    def flip(self, where: shard_reader.ShardLocation, position: int, at: int) -> None:
        flip(self.piece_path(where, position), at)

    def leftovers(self) -> list[str]:
        """Temporary files, and pieces, of all nodes."""
        return sorted(
            str(path.relative_to(self.root))
            for part in ("tmp", "pg")
            for path in self.root.glob(f"n*/{part}/**/*")
            if path.is_file()
        )


def location(
    target: shard_writer.ShardTarget, written: shard_writer.ShardWritten
) -> shard_reader.ShardLocation:
    return shard_reader.ShardLocation(
        target.cluster_id, target.object_id, target.number, target.protection, target.group,
        written.nodes, written.length, written.digest,
    )  # fmt: skip


def flip(path: Path, at: int, mask: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def reasons(damage: Sequence[shard_reader.Damage]) -> list[tuple[int, str]]:
    return sorted((one.piece, one.reason) for one in damage)
