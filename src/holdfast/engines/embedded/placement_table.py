"""The placement table: for each placement group the ordered nodes that hold its pieces.

Made by placement.build, stored by the commit log as one PGTABLE record, read by everyone.

    offset  size  what (little-endian)
    0       4     magic "HFPT"
    4       2     format, 1
    6       1     scheme: 0 replicas, 1 erasure
    7       1     data pieces k
    8       1     parity pieces m
    9       3     zero
    12      8     version of the table
    20      4     groups
    24      2 x groups x (k+m)   node numbers, row by row, position by position
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from holdfast import errors
from holdfast.model import topology

MAGIC = b"HFPT"
FORMAT = 1
NODE_NUMBER_MAX = 0xFFFF

_HEADER = struct.Struct("<4sHBBB3xQI")
_SCHEMES = (topology.Scheme.REPLICAS, topology.Scheme.ERASURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`rows[group][position]` is the number of the node that holds piece `position`."""

    protection: topology.Protection
    version: int
    groups: int
    rows: tuple[tuple[int, ...], ...]

    def to_bytes(self) -> bytes:
        """The stored form, equal for equal tables."""
        header = _HEADER.pack(
            MAGIC,
            FORMAT,
            _SCHEMES.index(self.protection.scheme),
            self.protection.data,
            self.protection.parity,
            self.version,
            self.groups,
        )
        width = self.protection.width
        return header + b"".join(struct.pack(f"<{width}H", *row) for row in self.rows)

    @classmethod
    def from_bytes(cls, data: bytes) -> Table:
        """Of the stored form. Raises IntegrityError, and RefusedError for a later format."""
        if len(data) < _HEADER.size or data[: len(MAGIC)] != MAGIC:
            raise _damaged("header")
        _, format_, scheme, data_pieces, parity, version, groups = _HEADER.unpack_from(data)
        if format_ != FORMAT:
            raise errors.RefusedError(
                "placement.table_format", "the placement table has format {format}, this release "
                "reads format {readable}",
                hint="open the store with the release of holdfast that wrote it, or a later one",
                format=format_, readable=FORMAT,
            )  # fmt: skip
        width = data_pieces + parity
        if scheme >= len(_SCHEMES) or not 1 <= width <= topology.WIDTH_MAX or data_pieces < 1:
            raise _damaged("protection")
        if len(data) != _HEADER.size + 2 * width * groups:
            raise _damaged("length")
        rows = tuple(struct.iter_unpack(f"<{width}H", data[_HEADER.size :]))
        protection = topology.Protection(scheme=_SCHEMES[scheme], data=data_pieces, parity=parity)
        return cls(protection=protection, version=version, groups=groups, rows=rows)


def movement(old: Table, new: Table) -> list[tuple[int, int, int, int]]:
    """What it takes to come from one table to the other: (group, position, from, to)."""
    return [
        (group, position, source, target)
        for group, (before, after) in enumerate(zip(old.rows, new.rows, strict=True))
        for position, (source, target) in enumerate(zip(before, after, strict=True))
        if source != target
    ]


def _damaged(where: str) -> errors.IntegrityError:
    return errors.IntegrityError(
        "placement.table_damaged", "the {where} of a stored placement table is damaged",
        hint="holdfast index rebuild --yes reads the tables again from the commit log", where=where,
    )  # fmt: skip
