"""The file of a newcomer: `holdfast init FOLDER...`. Chooses the protection and explains it.

`new_file` is pure; `write_new` is the only function here that touches a disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from holdfast import errors
from holdfast.config import document
from holdfast.kit import atomic
from holdfast.model import topology

CLUSTER = "main"
DATASET = "data"
REPLICAS_3_NODES_MIN = 3
ERASURE_NODES_MIN = 6
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._+@-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


class Message(NamedTuple):
    """A sentence for people: its code, an English template, and the fields of the template."""

    code: str
    template: str
    fields: Mapping[str, errors.Field]

    def __str__(self) -> str:
        return errors.fill(self.template, self.fields)


def new_file(
    folders: Sequence[Path],
    *,
    cluster: str | None = None,
    state: Path | None = None,
    devices: Sequence[int] = (),
    missing: Sequence[Path] = (),
) -> tuple[str, tuple[Message, ...]]:
    """(text, explanation): a node and a domain for each folder, and one dataset.

    `devices` has the device number (st_dev) of each folder, or nothing where that is not known;
    `missing` are those of the folders that are not there yet.
    Warnings have codes that begin with `init.warn`. Raises ConfigError.
    """
    paths = _checked(folders)
    _check_cluster(cluster or CLUSTER)
    _check_state(state, paths)
    names = _names(paths)
    protection, reason = protection_for(len(paths))
    explanation = (reason, *_same_device(names, devices), *_not_there(missing))
    lines = (*_head(cluster or CLUSTER, state), *_engine(names, paths))
    return "\n".join((*lines, *_dataset(protection, reason))) + "\n", explanation


def protection_for(nodes: int) -> tuple[topology.Protection, Message]:
    """What suits so many nodes of a domain each, and why."""
    if nodes == 1:
        return topology.replicas(1), Message(
            "init.warn_one_node",
            "one node: replicas 1. There is no second copy: what the node loses is lost",
            {"nodes": 1},
        )
    if nodes < REPLICAS_3_NODES_MIN:
        return topology.replicas(2), Message(
            "init.replicas_2",
            "2 nodes: replicas 2. Each node has a copy of everything; either may fail; "
            "the data takes twice its size",
            {"nodes": 2},
        )
    if nodes < ERASURE_NODES_MIN:
        return topology.replicas(3), Message(
            "init.replicas_3",
            "{nodes} nodes: replicas 3. Three nodes have a copy of everything; any two may fail; "
            "the data takes three times its size",
            {"nodes": nodes},
        )
    return topology.erasure(4, 2), Message(
        "init.erasure_4_2",
        "{nodes} nodes: erasure 4+2. Six of them share each object; any two may fail; "
        "the data takes one and a half times its size",
        {"nodes": nodes},
    )


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, durably. Raises RefusedError, with nothing changed.

    The name is taken first, so that of two that try only one writes; a crash in between leaves an
    empty file, which `load` explains.
    """
    target = Path(os.path.abspath(path))
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    except FileExistsError:
        raise errors.RefusedError(
            "config.exists", "{file} is there already",
            hint="edit it and run holdfast plan, or name another with -f FILE",
            file=document.visible(str(target)),
        ) from None
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        atomic.write_file(target, text.encode(), point="config.write")
    except OSError as error:
        with contextlib.suppress(OSError):
            atomic.remove(target, point="config.unwrite")
        raise _cannot_write(target, error) from error


def _cannot_write(target: Path, error: OSError) -> errors.RefusedError:
    return errors.RefusedError(
        "config.cannot_write", "{file} cannot be written: {reason}",
        hint="check that the folder is there and that you may write to it",
        file=document.visible(str(target)), reason=error.strerror or str(error),
    )


def _checked(folders: Sequence[Path]) -> tuple[str, ...]:
    if not folders:
        raise errors.ConfigError(
            "init.no_folders", "no folder is given",
            hint="holdfast init FOLDER... wants the folders of your disks, "
            "such as holdfast init /mnt/d1 /mnt/d2 /mnt/d3",
        )
    paths = tuple("/" + os.path.abspath(folder).strip("/") for folder in folders)
    for number, path in enumerate(paths):
        if not path.isprintable():
            raise errors.ConfigError(
                "init.bad_folder", "{path} has characters that cannot be written to the file",
                hint="rename the folder", path=document.visible(path),
            )
        for other in paths[:number]:
            if _inside(path, other) or _inside(other, path):
                raise errors.ConfigError(
                    "init.folders_overlap", "{path} is, holds or lies in {other}",
                    hint="give each node a folder of its own, best on a disk of its own",
                    path=path, other=other,
                )
    return paths


def _check_cluster(cluster: str) -> None:
    if re.fullmatch(document.CLUSTER, cluster) is None:
        raise errors.ConfigError(
            "init.bad_cluster", "{name} cannot be the name of a store",
            hint="use 1 to 40 of a-z, 0-9 and -", name=document.shown(cluster),
        )


def _check_state(state: Path | None, paths: Sequence[str]) -> None:
    if state is None:
        return
    folder = os.path.abspath(state)
    for path in paths:
        if _inside(folder, path) or _inside(path, folder):
            raise errors.ConfigError(
                "init.state_in_node", "the state folder {state} is, holds or lies in {path}",
                hint="choose a state folder outside of every node",
                state=document.visible(folder), path=path,
            )
    if not folder.isprintable():
        raise errors.ConfigError(
            "init.bad_folder", "{path} has characters that cannot be written to the file",
            hint="rename the folder", path=document.visible(folder),
        )


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _names(paths: Sequence[str]) -> tuple[str, ...]:
    """The folders' own names where they can be names; made unlike each other."""
    taken: list[str] = []
    for number, path in enumerate(paths, start=1):
        words = re.sub(r"[^A-Za-z0-9._-]+", "-", path.rpartition("/")[2]).strip("-._")
        base = words[:48].rstrip("-._") or f"d{number}"
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        taken.append(name)
    return tuple(taken)


def _same_device(names: Sequence[str], devices: Sequence[int]) -> tuple[Message, ...]:
    sharing: dict[int, list[str]] = {}
    for name, device in zip(names, devices, strict=False):
        sharing.setdefault(device, []).append(name)
    return tuple(
        Message(
            "init.warn_same_device",
            "nodes {nodes} lie on one real disk: if it fails, they fail together",
            {"nodes": tuple(group)},
        )
        for group in sharing.values() if len(group) > 1
    )


def _not_there(missing: Sequence[Path]) -> tuple[Message, ...]:
    if not missing:
        return ()
    return (Message(
        "init.warn_not_there",
        "these folders are not there yet: mount their disks, or make them: mkdir -p {folders}",
        {"folders": " ".join(shlex.quote(str(one)) for one in missing)},
    ),)


def _head(cluster: str, state: Path | None) -> tuple[str, ...]:
    return (
        "# What is to be kept, and how well. After a change: holdfast plan, then holdfast apply.",
        "# Every key: holdfast config example. Where each value comes from: holdfast config show.",
        "",
        "# The name of this store: a-z, 0-9 and -.",
        f"cluster: {_scalar(cluster)}",
        "",
        *(() if state is None else (
            "# Where holdfast keeps its index.",
            f"state: {_scalar(os.path.abspath(state))}",
            "",
        )),
    )


def _engine(names: Sequence[str], paths: Sequence[str]) -> tuple[str, ...]:
    return (
        "engine:",
        "  kind: embedded",
        "  # A node is a disk, or a folder on it, that fails as one. Nodes of one domain may fail",
        "  # together (one shelf, one cable, one host): give those the same domain.",
        "  nodes:",
        *(
            f"    - {{name: {_scalar(name)}, path: {_scalar(path)}, domain: {_scalar(name)}}}"
            for name, path in zip(names, paths, strict=True)
        ),
        "",
    )


def _dataset(protection: topology.Protection, reason: Message) -> tuple[str, ...]:
    return (
        "datasets:",
        *(f"  # {line}" for line in textwrap.wrap(f"{reason}.", 92)),
        "  # Other protections: replicas 2, replicas 3, erasure 2+1, erasure 4+2, ...",
        f"  {DATASET}:",
        f"    path: /{DATASET}",
        f"    protect: {protection}",
        "    # profile: media    # for large files; records for many small ones",
        "    # quota: 2 TiB      # what would go beyond is refused",
    )


def _scalar(text: str) -> str:
    """YAML for a printable text: plain where nothing could be read into it, else in quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
