"""snapshot and dataset."""

from __future__ import annotations

import click

from holdfast.cli import base, render, session
from holdfast.operations import datasets, snapshots


@click.group("snapshot", cls=base.Group)
def snapshot() -> None:
    """Keep and read earlier states of a dataset."""


@snapshot.command("create", examples=("holdfast snapshot create data before",))
@base.argument("dataset", metavar="DATASET")
@base.argument("name", metavar="NAME")
@click.pass_obj
def create(used: session.Session, dataset: str, name: str) -> None:
    """Take a snapshot of a dataset. It is read under DATASET/.snapshot/NAME/."""
    with used.open() as ctx:
        taken = snapshots.create(ctx, dataset, name)
    used.out.result("snapshot", taken, lambda: render.snapshot_taken(used.out, taken))


@snapshot.command("list", examples=("holdfast snapshot list", "holdfast snapshot list data"))
@base.argument("dataset", required=False, metavar="[DATASET]")
@click.pass_obj
def list_snapshots(used: session.Session, dataset: str | None) -> None:
    """List the snapshots of a dataset, or of all."""
    with used.open(read_only=True) as ctx:
        rows = snapshots.list_all(ctx, dataset)
    used.out.result(
        "snapshots", {"snapshots": rows}, lambda: render.snapshots(used.out, rows)
    )


@snapshot.command("delete", examples=("holdfast snapshot delete data before",))
@base.argument("dataset", metavar="DATASET")
@base.argument("name", metavar="NAME")
@click.pass_obj
def delete(used: session.Session, dataset: str, name: str) -> None:
    """Remove a snapshot. What only it held is freed."""
    with used.open() as ctx:
        snapshots.remove(ctx, dataset, name)
    used.out.result(
        "snapshot.deleted", {"dataset": dataset, "name": name},
        lambda: render.snapshot_deleted(used.out, dataset, name),
    )


@click.group("dataset", cls=base.Group)
def dataset() -> None:
    """Show the datasets of the user's file and what they hold."""


@dataset.command("list", examples=("holdfast dataset list",))
@click.pass_obj
def list_datasets(used: session.Session) -> None:
    """List the datasets: path, protection, what they hold."""
    with used.open(read_only=True) as ctx:
        rows = datasets.list_all(ctx)
    used.out.result("datasets", {"datasets": rows}, lambda: render.datasets(used.out, rows))


@dataset.command("show", examples=("holdfast dataset show data",))
@base.argument("name", metavar="DATASET")
@click.pass_obj
def show(used: session.Session, name: str) -> None:
    """Show one dataset: its policy, what it holds and what that survives."""
    with used.open(read_only=True) as ctx:
        found = datasets.show(ctx, name)
    used.out.result("dataset", found, lambda: render.dataset(used.out, found))
