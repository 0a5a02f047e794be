"""Take, list and remove snapshots of a dataset."""

from __future__ import annotations

from holdfast import errors
from holdfast.engines import api
from holdfast.model import snapshot, spec
from holdfast.operations import context


def create(ctx: context.Context, dataset: str, name: str) -> snapshot.SnapshotInfo:
    """Raises NotFoundError, RefusedError (`snapshot.exists`)."""
    found = dataset_named(ctx, dataset)
    return api.need(ctx.engine, api.Snapshots).create_snapshot(found.name, name)


def remove(ctx: context.Context, dataset: str, name: str) -> None:
    """Raises NotFoundError."""
    found = dataset_named(ctx, dataset)
    api.need(ctx.engine, api.Snapshots).remove_snapshot(found.name, name)


def list_all(ctx: context.Context, dataset: str | None) -> tuple[snapshot.SnapshotInfo, ...]:
    """Of one dataset, or of all, in the order in which they were taken."""
    names = (
        [one.name for one in ctx.spec.datasets]
        if dataset is None
        else [dataset_named(ctx, dataset).name]
    )
    teller = api.need(ctx.engine, api.Snapshots)
    rows = [one for name in names for one in teller.snapshots(name)]
    return tuple(sorted(rows, key=lambda one: (one.dataset, one.created_ns)))


def dataset_named(ctx: context.Context, name: str) -> spec.DatasetSpec:
    """By its name, or by its path. Raises NotFoundError."""
    for one in ctx.spec.datasets:
        if name in (one.name, one.path) or name.rstrip("/") == one.path:
            return one
    raise errors.NotFoundError(
        "dataset.not_found", "there is no dataset {name} in {file}",
        hint="holdfast dataset list shows those that there are: {known}",
        name=name, file=ctx.spec.file, known=tuple(one.name for one in ctx.spec.datasets),
    )
