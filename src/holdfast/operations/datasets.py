"""The datasets of the user's file, beside what the store holds of them."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.kit import clock
from holdfast.model import observation, spec
from holdfast.operations import context, snapshots

OBSERVE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """`held` None: it is in the file, but not yet in the store."""

    wanted: spec.DatasetSpec
    held: observation.DatasetObservation | None


def list_all(ctx: context.Context) -> tuple[DatasetView, ...]:
    """In the order of the file."""
    seen = ctx.engine.control.observe(clock.Deadline(OBSERVE_S, ctx.clock))
    held = {one.name: one for one in seen.datasets}
    return tuple(
        DatasetView(wanted=one, held=held.get(one.name)) for one in ctx.spec.datasets
    )


def show(ctx: context.Context, name: str) -> DatasetView:
    """Raises NotFoundError."""
    wanted = snapshots.dataset_named(ctx, name)
    return next(one for one in list_all(ctx) if one.wanted == wanted)
