"""Why an object lies where it lies, and what it survives."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from holdfast import errors
from holdfast.engines import api
from holdfast.kit import clock
from holdfast.model import objects, spec, topology
from holdfast.operations import context, paths

OBSERVE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """`node` "" : this piece is nowhere now. `role`: replica, data or parity."""

    number: int
    role: str
    node: str
    domain: str
    health: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlace:
    """`margin` counts node failures that are still survived, `domain_margin` whole domains."""

    shard: objects.Shard
    pieces: tuple[Piece, ...]
    margin: int
    domain_margin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """An object, the policy that it is under, and the places of its shards."""

    info: objects.ObjectInfo
    dataset: spec.DatasetSpec
    shards: tuple[ShardPlace, ...]

    @property
    def margin(self) -> int | None:
        return min((one.margin for one in self.shards), default=None)

    @property
    def domain_margin(self) -> int | None:
        return min((one.domain_margin for one in self.shards), default=None)


def explain_object(ctx: context.Context, path: str) -> Explanation:
    """Raises NotFoundError; RefusedError for a folder or where the engine cannot tell of shards."""
    info = paths.require(ctx.engine.data, objects.check_path(path))
    if paths.is_folder(info):
        raise errors.RefusedError(
            "object.is_folder", "{path} is a folder",
            hint="name an object; holdfast ls shows what the folder holds", path=info.path,
        )
    dataset = paths.dataset_of(ctx.spec, info.path)
    seen = ctx.engine.control.observe(clock.Deadline(OBSERVE_S, ctx.clock))
    domains = {node.name: "/".join(node.domain) or node.name for node in seen.nodes}
    health = {node.name: node.health.value for node in seen.nodes}
    teller = api.need(ctx.engine, api.Shards)
    places = tuple(
        _place(shard, dataset.protection, domains, health)
        for shard in teller.shards(info.path, info.version or None)
    )
    return Explanation(info=info, dataset=dataset, shards=places)


def domains_survived(per_domain: Counter[str], needed: int) -> int:
    """How many whole domains may fail, at worst, before fewer than `needed` pieces are left."""
    left = sum(per_domain.values())
    survived = -1
    for count in [0, *sorted(per_domain.values(), reverse=True)]:
        left -= count
        if left < needed:
            return survived
        survived += 1
    return survived


def _place(
    shard: objects.Shard,
    protection: topology.Protection,
    domains: dict[str, str],
    health: dict[str, str],
) -> ShardPlace:
    pieces = tuple(
        Piece(
            number=number, role=_role(protection, number), node=node,
            domain=domains.get(node, node), health=health.get(node, "unknown") if node else "",
        )
        for number, node in enumerate(shard.nodes)
    )
    held = Counter(piece.domain for piece in pieces if piece.node and piece.health == "up")
    needed = max(1, sum(held.values()) - shard.margin)
    return ShardPlace(
        shard=shard, pieces=pieces, margin=shard.margin,
        domain_margin=domains_survived(held, needed) if shard.margin >= 0 else -1,
    )


def _role(protection: topology.Protection, number: int) -> str:
    if protection.scheme is topology.Scheme.REPLICAS:
        return "replica"
    return "data" if number < protection.data else "parity"
