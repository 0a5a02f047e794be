"""What the user asked for: the user's file after checking, with every default filled in."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from holdfast.model import topology


class Profile(enum.Enum):
    """What a dataset mostly holds; decides the shard size."""

    GENERAL = "general"
    MEDIA = "media"
    RECORDS = "records"


SHARD_BYTES = {
    Profile.GENERAL: 64 << 20,
    Profile.MEDIA: 256 << 20,
    Profile.RECORDS: 64 << 20,
}
SMALL_BYTES_MAX = 128 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    name: str
    path: str
    protection: topology.Protection
    profile: Profile = Profile.GENERAL
    quota_bytes: int | None = None
    min_margin: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    name: str
    path: str
    domain: tuple[str, ...] = ()
    weight_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    kind: str
    nodes: tuple[NodeSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """`file` is the absolute path of the user's file, `state` the state folder (None: the default
    of design: XDG state home, or /var/lib/holdfast for root)."""

    cluster: str
    file: str
    engine: EngineSpec
    datasets: tuple[DatasetSpec, ...] = ()
    state: str | None = None

    def dataset(self, name: str) -> DatasetSpec | None:
        return next((one for one in self.datasets if one.name == name), None)
