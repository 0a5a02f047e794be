"""Where a stored shard is, as its commit record says, and what is found wrong with its pieces."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.engines.embedded import node, piece, piece_file, shard_layout
from holdfast.model import topology


@dataclass(frozen=True, slots=True)
class ShardLocation:
    """`nodes[i]` holds piece i, -1 for none; `length` in bytes; `digest` is BLAKE3 of the shard."""

    cluster_id: bytes
    object_id: int
    number: int
    protection: topology.Protection
    group: int
    nodes: tuple[int, ...]
    length: int
    digest: bytes

    @property
    def layout(self) -> shard_layout.ShardLayout:
        return shard_layout.ShardLayout(self.protection, self.length)

    def identity(self, position: int) -> bytes:
        return piece.identity(self.cluster_id, self.object_id, self.number, position)

    def stored_piece(self, disk: node.NodeDisk, position: int) -> piece_file.StoredPiece:
        path = disk.piece_path(self.group, self.object_id, self.number, position)
        return piece_file.StoredPiece(disk, path, self.identity(position), self.layout.body_bytes)

    def describes(self, header: piece.Header) -> bool:
        """The header belongs to a piece of this shard, with this content."""
        return (
            header.cluster_id == self.cluster_id
            and header.object_id == self.object_id
            and header.shard == self.number
            and header.layout == self.layout
            and header.shard_digest == self.digest
        )


@dataclass(frozen=True, slots=True)
class Damage:
    """A piece that could not be used. `reason`: `piece.missing`, `piece.checksum`, `piece.length`,
    `piece.trailer`, `piece.unreadable`, or the node's own, such as `node.timeout`."""

    node: int
    piece: int
    reason: str
