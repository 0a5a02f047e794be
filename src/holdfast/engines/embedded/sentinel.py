"""The sentinel file that makes a folder a node, and what a folder is when one looks at it.

A folder without a sentinel is never written to by a running store: it may be the empty mount point
of a disk that is not mounted.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from holdfast import errors
from holdfast.engines.embedded import node
from holdfast.kit import atomic
from holdfast.model import observation

FORMAT = "holdfast.node/1"
PREPARING = 0  # the generation of a node that is being prepared
READS, WRITES = 1, 1  # the store format that this release reads and writes
NETWORK_TYPES = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs",
    "lustre", "afs", "ocfs2", "gfs2", "fuse.s3fs", "fuse.rclone", "beegfs",
})
_IGNORED = frozenset({"lost+found"})
_UNFINISHED = f".{node.SENTINEL}."  # a sentinel whose writing was cut short


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinel:
    """What a node says of itself."""

    store: str
    cluster: str
    node: str
    number: int
    name: str
    generation: int = 1
    min_reader: int = READS
    min_writer: int = WRITES


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found at a path. `sentinel` only where there is a sound one of a finished node,
    `prepared` where there is one of a node whose preparation did not come to its end."""

    path: Path
    health: observation.Health
    reason: str
    sentinel: Sentinel | None = None
    prepared: Sentinel | None = None


def path_of(root: Path) -> Path:
    return root / node.SENTINEL


def write(root: Path, sentinel: Sentinel) -> None:
    """Make the folder a node, durably. Raises OSError."""
    fields = {
        "format": FORMAT, "store": sentinel.store, "cluster": sentinel.cluster,
        "node": sentinel.node, "number": sentinel.number, "name": sentinel.name,
        "generation": sentinel.generation, "min_reader": sentinel.min_reader,
        "min_writer": sentinel.min_writer,
    }
    data = (json.dumps(fields, indent=1) + "\n").encode()
    atomic.write_file(path_of(root), data, point="node.sentinel")


def look(root: Path) -> Look:
    """What stands at a path; changes nothing. Raises RefusedError for a later release's node."""
    try:
        entries = os.listdir(root)
        data = path_of(root).read_bytes() if node.SENTINEL in entries else None
    except OSError as error:
        return _cannot_look(root, error)
    if data is None:
        if any(entry not in _IGNORED and not entry.startswith(_UNFINISHED) for entry in entries):
            return Look(path=root, health=observation.Health.FOREIGN, reason="node.not_empty")
        return Look(path=root, health=observation.Health.NEW, reason="node.no_sentinel")
    found = _parse(data, root)
    if found is None:
        return Look(path=root, health=observation.Health.FAILING, reason="node.bad_sentinel")
    if found.generation == PREPARING:
        return Look(path=root, health=observation.Health.NEW, reason="node.preparing",
                    prepared=found)
    return as_node(root, found)


def as_node(root: Path, found: Sentinel) -> Look:
    """A node that is there: can it be written?"""
    if not os.access(root, os.W_OK):
        return Look(path=root, health=observation.Health.READ_ONLY, reason="node.read_only",
                    sentinel=found)
    return Look(path=root, health=observation.Health.UP, reason="", sentinel=found)


def file_system(root: Path) -> str:
    """The type of the file system that holds a path (`ext4`, `nfs4`), or "" when unknown."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        real = os.path.realpath(root)
    except OSError:
        return ""
    for line in lines:
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _cannot_look(root: Path, error: OSError) -> Look:
    health, reason = observation.Health.FAILING, "node.io_error"
    if isinstance(error, FileNotFoundError):
        health, reason = observation.Health.UNKNOWN, "node.no_folder"
    elif isinstance(error, NotADirectoryError):
        health, reason = observation.Health.FOREIGN, "node.not_a_folder"
    elif isinstance(error, PermissionError):
        health, reason = observation.Health.UNKNOWN, "node.no_access"
    return Look(path=root, health=health, reason=reason)


def _parse(data: bytes, root: Path) -> Sentinel | None:
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict) or not str(fields["format"]).startswith("holdfast.node/"):
            return None
        found = Sentinel(
            store=str(fields["store"]), cluster=str(fields["cluster"]), node=str(fields["node"]),
            number=int(fields["number"]), name=str(fields["name"]),
            generation=int(fields["generation"]), min_reader=int(fields["min_reader"]),
            min_writer=int(fields["min_writer"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
    if found.min_reader > READS:
        raise errors.RefusedError(
            "store.newer_release", "the node at {path} was written by a newer release (format "
            "{found}; this one reads {mine})", path=str(root), found=found.min_reader, mine=READS,
            hint="use the holdfast release that wrote it, or a newer one",
        )
    return found
