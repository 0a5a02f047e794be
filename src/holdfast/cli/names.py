"""ls, stat, mv, rm and find."""

from __future__ import annotations

import click

from holdfast.cli import base, render, session
from holdfast.model import objects
from holdfast.operations import copying, move
from holdfast.operations import find as finding
from holdfast.operations import names as naming

KINDS = {"f": objects.ObjectKind.OBJECT, "d": objects.ObjectKind.FOLDER}


@base.command("ls", "holdfast ls -l /data", "holdfast ls -R /data/.snapshot/before/")
@base.argument("paths", nargs=-1, metavar="[PATH]...")
@base.option("-l", "--long", is_flag=True, help="Show margin, size and time as well.")
@base.option("-R", "--recursive", is_flag=True, help="Show all that lies below, too.")
@click.pass_obj
def ls(used: session.Session, paths: tuple[str, ...], long: bool, recursive: bool) -> None:
    """List folders of the store; without a path, the datasets.

    A folder is shown with a / at its end. Paths may hold * ? and [...]; quote them.
    """
    with used.open(read_only=True) as ctx:
        rows = naming.list_paths(ctx, paths or ("/",), recursive=recursive)
        used.out.listing("ls", "entries", rows, render.listed(used.out, long=long))


@base.command("stat", "holdfast stat /data/clip.mp4", "holdfast stat --shards /data/clip.mp4")
@base.argument("paths", nargs=-1, required=True, metavar="PATH...")
@base.option("--shards", is_flag=True, help="Show where each shard lies, and its digest.")
@click.pass_obj
def stat(used: session.Session, paths: tuple[str, ...], shards: bool) -> None:
    """Show what is known of objects and folders."""
    with used.open(read_only=True) as ctx:
        rows = naming.describe(ctx, paths, shards=shards)
    used.out.result("stat", {"entries": rows}, lambda: render.described(used.out, rows))


@base.command("mv", "holdfast mv /data/a /data/b", "holdfast mv '/data/*.mp4' /videos/")
@base.argument("sources", nargs=-1, required=True, metavar="PATH...")
@base.argument("target", metavar="TARGET")
@base.option("--change-protection", is_flag=True, help="Also into a dataset of other protection.")
@click.pass_obj
def mv(
    used: session.Session, sources: tuple[str, ...], target: str, change_protection: bool
) -> None:
    """Move or rename objects and folders. Never replaces what is there.

    Within a dataset it is a rename; across datasets the data are copied, verified, then removed.
    """
    options = copying.Options(tell=render.item_teller(used.out))
    used.out.begin("mv")
    with used.work() as ctx:
        report = move.move(ctx, sources, target, options, change_protection=change_protection)
    render.changed(used.out, report, "mv")
    report.raise_if_partial()


@base.command("rm", "holdfast rm /data/old.txt", "holdfast rm -r '/data/tmp*'")
@base.argument("paths", nargs=-1, required=True, metavar="PATH...")
@base.option("-r", "--recursive", is_flag=True, help="Remove folders and all below them.")
@click.pass_obj
def rm(used: session.Session, paths: tuple[str, ...], recursive: bool) -> None:
    """Remove objects, and folders with -r. Snapshots still hold what they held.

    When one of the paths names nothing, nothing is removed.
    """
    options = copying.Options(tell=render.item_teller(used.out))
    used.out.begin("rm")
    with used.work() as ctx:
        report = naming.remove(ctx, paths, options, recursive=recursive)
    render.changed(used.out, report, "rm")
    report.raise_if_partial()


@base.command(
    "find",
    "holdfast find /data --name '*.jpg' --size +10M",
    "holdfast find /data --type f --newer 2d",
)
@base.argument("paths", nargs=-1, metavar="[PATH]...")
@base.option("--name", metavar="GLOB", help="Only names that match; quote it.")
@base.option("--size", metavar="[+|-]SIZE", help="Only objects larger (+), smaller (-) or as large.")
@base.option("--type", "kind", type=click.Choice(tuple(KINDS)), help="Only objects (f) or folders (d).")
@base.option("--newer", metavar="WHEN", help="Only newer than a local file, a date, or e.g. 2d ago.")
@click.pass_obj
def find(
    used: session.Session,
    paths: tuple[str, ...],
    name: str | None,
    size: str | None,
    kind: str | None,
    newer: str | None,
) -> None:
    """Search the store by name, size, kind and age."""
    query = finding.Query(
        name=name,
        kind=KINDS[kind] if kind else None,
        size=finding.parse_size(size) if size else None,
        newer_than_ns=finding.parse_newer(newer, used.time.now_ns()) if newer else None,
    )
    with used.open(read_only=True) as ctx:
        rows = finding.find(ctx, paths or ("/",), query)
        used.out.listing("find", "entries", rows, render.listed(used.out, long=False))
