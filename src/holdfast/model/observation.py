"""What was seen of a store, and when. A fact that is not known is UNKNOWN, never assumed."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from holdfast.model import notice


class Health(enum.Enum):
    """Of a node. UNKNOWN: it could not be asked."""

    UP = "up"
    READ_ONLY = "read_only"
    UNMOUNTED = "unmounted"
    FOREIGN = "foreign"
    STALE = "stale"
    FAILING = "failing"
    NEW = "new"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A number or word with its source and age. `value` None means UNKNOWN."""

    value: int | float | str | bool | None
    source: str
    at_ns: int

    @property
    def known(self) -> bool:
        return self.value is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeObservation:
    """`reason` says in a code why health is not UP (`node.no_sentinel`)."""

    name: str
    uuid: str
    number: int | None
    domain: tuple[str, ...]
    path: str
    state: str
    health: Health
    reason: str
    capacity_bytes: Fact
    free_bytes: Fact
    used_bytes: Fact
    device: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetObservation:
    """`bytes_by_margin`: logical bytes by how many more node failures they survive; -1: lost.
    `target_margin`: as high as the protection and topology allow."""

    name: str
    path: str
    protection: str
    objects: Fact
    used_bytes: Fact
    quota_bytes: int | None
    target_margin: int
    bytes_by_margin: tuple[tuple[int, int], ...]
    snapshots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Bounded: per node and dataset, never per shard. `log_members` of which `log_up` answer."""

    at_ns: int
    store_id: str
    initialised: bool
    writable: bool
    reason: str
    nodes: tuple[NodeObservation, ...]
    datasets: tuple[DatasetObservation, ...]
    usable_bytes: Fact
    used_bytes: Fact
    log_members: int
    log_up: int
    heal_queue: int
    heal_bytes: int
    warnings: tuple[notice.Notice, ...] = ()
