"""What is at the paths of the user's file: the store's identity, its nodes, its log members.

Nodes are told apart by the uuid in their sentinel, never by their path, so that swapped disks are
simply found elsewhere.
"""

from __future__ import annotations

import os
import uuid as uuids
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from holdfast import errors
from holdfast.engines.embedded import log_file, sentinel, survey
from holdfast.model import observation, spec


@dataclass(frozen=True, slots=True)
class Found:
    """`looks[name]` by the names of the user's file; `nodes[uuid]` is where a node of this store is.

    `store` is None when no path holds a node of any store.
    """

    looks: dict[str, sentinel.Look]
    store: str | None
    nodes: dict[str, sentinel.Look]


def find(wanted: spec.Spec) -> Found:
    """Look at every path of the file. Raises RefusedError for clones and later releases."""
    looks = survey.looks(wanted.engine.nodes)
    stores = Counter(look.sentinel.store for look in looks.values() if look.sentinel)
    store = stores.most_common(1)[0][0] if stores else None
    nodes: dict[str, sentinel.Look] = {}
    for name, look in looks.items():
        if look.sentinel is None:
            continue
        if look.sentinel.store != store:
            looks[name] = sentinel.Look(
                path=look.path, health=observation.Health.FOREIGN, reason="node.other_store",
                sentinel=look.sentinel)
            continue
        if look.sentinel.node in nodes:
            raise errors.RefusedError(
                "node.cloned", "{path} and {other} hold the same node: one is a copy of the other",
                hint="unmount or empty the copy; the original has the newest holdfast.node",
                path=str(look.path), other=str(nodes[look.sentinel.node].path),
            )
        nodes[look.sentinel.node] = look
    if store is not None:
        _finish(looks, store, nodes)
    return Found(looks, store, nodes)


def _finish(
    looks: dict[str, sentinel.Look], store: str, nodes: dict[str, sentinel.Look]
) -> None:
    """Take nodes in whose last sentinel was not written any more.

    A store has its commit log before any of its nodes is finished, so one finished node says that
    the others are ready. A number that a finished node has is not given twice.
    """
    numbers = {look.sentinel.number for look in nodes.values() if look.sentinel}
    for name, look in looks.items():
        found = look.prepared
        if found is not None and found.store == store and found.number not in numbers:
            looks[name] = nodes[found.node] = sentinel.as_node(look.path, found)
            numbers.add(found.number)


def newest_header(found: Found) -> log_file.Header | None:
    """The header of the newest log file on any node: it names the members of the log."""
    newest: log_file.Header | None = None
    wanted = uuids.UUID(found.store).bytes if found.store else b""
    for look in found.nodes.values():
        try:
            files = log_file.list_names(look.path)
        except OSError:
            continue
        for name in reversed(files):
            if newest is not None and name <= newest.name:
                break
            header = _header(look.path, name)
            if header is not None and header.store == wanted:
                newest = header
                break
    return newest


def state_folder(wanted: spec.Spec, store: str) -> Path:
    """Where this store's index and state live on this machine."""
    if wanted.state is not None:
        return Path(wanted.state)
    if os.geteuid() == 0:
        base = Path("/var/lib/holdfast")
    else:
        home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        base = Path(home) / "holdfast"
    return base / f"{wanted.cluster}-{store[:8]}"


def check_access(found: Found) -> None:
    """A store belongs to the user and group that own its nodes. Raises AuthError."""
    for look in found.looks.values():
        if look.reason == "node.no_access":
            raise errors.AuthError(
                "store.not_yours", "{path} belongs to another user", path=str(look.path),
                hint="run holdfast as the user who owns the nodes: ls -ld {path}",
            )


def _header(root: Path, name: log_file.Name) -> log_file.Header | None:
    try:
        with (log_file.folder_of(root) / str(name)).open("rb") as file:
            return log_file.parse_header(file.read(log_file.HEADER_BYTES))
    except OSError:
        return None
