"""Nodes, domains, and the protection that is laid over them."""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass

from holdfast import errors

WIDTH_MAX = 64
_ERASURE = re.compile(r"erasure\s+(\d+)\s*\+\s*(\d+)")
_REPLICAS = re.compile(r"replicas\s+(\d+)")


class Scheme(enum.Enum):
    REPLICAS = "replicas"
    ERASURE = "erasure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """`replicas r`: data=1, parity=r-1. `erasure k+m`: data=k, parity=m."""

    scheme: Scheme
    data: int
    parity: int

    @property
    def width(self) -> int:
        """Pieces of a shard."""
        return self.data + self.parity

    def __str__(self) -> str:
        if self.scheme is Scheme.REPLICAS:
            return f"replicas {self.width}"
        return f"erasure {self.data}+{self.parity}"


def replicas(count: int) -> Protection:
    return Protection(scheme=Scheme.REPLICAS, data=1, parity=count - 1)


def erasure(data: int, parity: int) -> Protection:
    return Protection(scheme=Scheme.ERASURE, data=data, parity=parity)


@functools.lru_cache(maxsize=256)
def parse_protection(text: str) -> Protection:
    """Of `replicas 3` or `erasure 4+2`. Raises ConfigError."""
    compact = " ".join(str(text).lower().split())
    if match := _REPLICAS.fullmatch(compact):
        count = int(match.group(1))
        if 1 <= count <= WIDTH_MAX:
            return replicas(count)
    if match := _ERASURE.fullmatch(compact):
        data, parity = int(match.group(1)), int(match.group(2))
        if data >= 1 and parity >= 1 and data + parity <= WIDTH_MAX:
            return erasure(data, parity)
    raise errors.ConfigError(
        "protection.bad", "{text} is not a protection",
        hint="write replicas R or erasure K+M with K, M at least 1 and K+M at most {limit}, "
        "such as replicas 3 or erasure 4+2",
        text=str(text), limit=WIDTH_MAX,
    )


class NodeState(enum.Enum):
    """What placement may do with a node."""

    ACTIVE = "active"
    DRAINING = "draining"
    OUT = "out"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A place that stores pieces and fails as one.

    `number` is its small identity inside the store (never reused), `domain` the nested group that
    may fail together, outermost first (`("rack1", "host2")`; empty: a domain of its own).
    """

    number: int
    name: str
    uuid: str
    path: str
    domain: tuple[str, ...]
    weight_bytes: int
    state: NodeState = NodeState.ACTIVE
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    nodes: tuple[Node, ...]

    def by_number(self) -> dict[int, Node]:
        return {node.number: node for node in self.nodes}

    def active(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.state is NodeState.ACTIVE)


def domain_key(node: Node) -> tuple[str, ...]:
    """The domain of a node; one without a domain stands alone."""
    return node.domain or ("node:" + node.name,)
