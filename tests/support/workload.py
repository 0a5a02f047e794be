"""Small histories of a store, and what must be there after each step of them.

An operation is data, so that a worker process can carry it out and the test can predict it.
`states` is the oracle: pure, knows nothing of any engine.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import random
from typing import Any

View = dict[str, str]
"""Path to `content_id` of what it holds; objects only, those of snapshots under their root."""


@dataclasses.dataclass(frozen=True, slots=True)
class Op:
    """One operation. verb: put, batch, append, rename, delete, snapshot, unsnapshot, collect, compact.

    `path` is an object or folder (of a snapshot: its root), `target` that of a rename. A batch puts
    `count` objects `path/0`... in one call.
    """

    verb: str
    path: str = ""
    target: str = ""
    size: int = 0
    seed: int = 0
    count: int = 0
    recursive: bool = False

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@functools.lru_cache(maxsize=64)
def content(seed: int, size: int) -> bytes:
    """The bytes that an operation writes."""
    return random.Random(seed).randbytes(size)


def content_id(data: bytes | bytearray | memoryview) -> str:
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:20]}"


def states(ops: tuple[Op, ...], start: View | None = None) -> list[View]:
    """What is there before the first operation and after each."""
    held: dict[str, bytes] = {}
    seen: list[View] = [dict(start or {})]
    for op in ops:
        _apply(held, op)
        seen.append({**(start or {}), **{path: content_id(data) for path, data in held.items()}})
    return seen


def batch_items(op: Op) -> list[tuple[str, bytes]]:
    """Paths and contents of a batch."""
    return [(f"{op.path}/{number}", content(op.seed + number, op.size))
            for number in range(op.count)]


def allowed(ops: tuple[Op, ...], done: int, started: int, acknowledged_items: int) -> list[View]:
    """Every view that is right when `done` operations were acknowledged and `started` begun.

    An operation that was under way has happened or has not, never half; of a batch each item is an
    operation of its own, and items that were acknowledged have happened.
    """
    seen = states(ops)
    if started <= done:
        return [seen[done]]
    under_way = ops[done]
    if under_way.verb != "batch":
        return [seen[done], seen[done + 1]]
    items = [(path, content_id(data)) for path, data in batch_items(under_way)]
    certain = dict(items[:acknowledged_items])
    rest = items[acknowledged_items:]
    return [{**seen[done], **certain, **dict(rest[:more])} for more in range(len(rest) + 1)]


def _apply(held: dict[str, bytes], op: Op) -> None:
    if op.verb == "put":
        held[op.path] = content(op.seed, op.size)
    elif op.verb == "batch":
        held.update(batch_items(op))
    elif op.verb == "append":
        held[op.path] = held.get(op.path, b"") + content(op.seed, op.size)
    elif op.verb == "rename":
        _rename(held, op.path, op.target)
    elif op.verb in ("delete", "unsnapshot"):
        for path in _under(held, op.path):
            del held[path]
    elif op.verb == "snapshot":
        dataset = op.path.split("/.snapshot/")[0]
        for path in _under(held, dataset):
            if "/.snapshot/" not in path:
                held[op.path + path[len(dataset):]] = held[path]


def _rename(held: dict[str, bytes], source: str, target: str) -> None:
    for path in _under(held, source):
        held[target + path[len(source):]] = held.pop(path)


def _under(held: dict[str, bytes], path: str) -> list[str]:
    return [one for one in held if one == path or one.startswith(path + "/")]
