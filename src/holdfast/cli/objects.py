"""put, get and cat."""

from __future__ import annotations

import click

from holdfast.cli import base, render, session
from holdfast.operations import copying
from holdfast.operations import get as getting
from holdfast.operations import put as putting

STREAM = "-"


@base.command(
    "put",
    "holdfast put photos/ clip.mp4 /data/",
    "tar c notes | holdfast put - /data/notes.tar",
)
@base.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@base.argument("target", metavar="TARGET")
@base.option("--overwrite", is_flag=True, help="Replace objects that are there already.")
@click.pass_obj
def put(used: session.Session, sources: tuple[str, ...], target: str, overwrite: bool) -> None:
    """Copy local files and folders into the store, as cp -r does.

    A folder arrives under its own name. Times and modes are kept; symbolic links and devices are
    left out and listed, with exit code 3. `-` as the only source is standard input. Each object is
    durable before the command ends, and appears whole or not at all.
    """
    options = copying.Options(overwrite=overwrite, tell=render.item_teller(used.out))
    used.out.begin("put")
    if sources == (STREAM,):
        with used.open() as ctx:
            report = putting.put_stream(ctx, used.stdin, target, options)
    else:
        with used.work() as ctx:
            report = putting.put(ctx, sources, target, options)
    render.copied(used.out, report, "put")
    report.raise_if_partial()


@base.command(
    "get",
    "holdfast get /data/photos out/",
    "holdfast get '/data/*.jpg' /data/clip.mp4 .",
    "holdfast get /data/notes.tar - | tar t",
)
@base.argument("sources", nargs=-1, required=True, metavar="PATH...")
@base.argument("target", metavar="TARGET")
@base.option("--overwrite", is_flag=True, help="Replace local files that are there already.")
@base.option("--sync", is_flag=True, help="Make each local file durable before the next.")
@click.pass_obj
def get(
    used: session.Session, sources: tuple[str, ...], target: str, overwrite: bool, sync: bool
) -> None:
    """Copy objects and folders of the store to local files, as cp -r does.

    A folder arrives under its own name. Paths may hold * ? and [...]; quote them. `-` as the target
    is standard output. Every byte is verified; each file appears whole or not at all.
    """
    if target == STREAM:
        _pour(used, sources)
        return
    options = copying.Options(overwrite=overwrite, sync=sync, tell=render.item_teller(used.out))
    used.out.begin("get")
    with used.work() as ctx:
        report = getting.get(ctx, sources, target, options)
    render.copied(used.out, report, "get")
    report.raise_if_partial()


@base.command("cat", "holdfast cat /data/notes.txt", "holdfast cat '/data/logs/2026-*' | wc -l")
@base.argument("sources", nargs=-1, required=True, metavar="PATH...")
@click.pass_obj
def cat(used: session.Session, sources: tuple[str, ...]) -> None:
    """Write the contents of objects to standard output, one after another."""
    _pour(used, sources)


def _pour(used: session.Session, sources: tuple[str, ...]) -> None:
    with used.open(read_only=True) as ctx:
        getting.get_stream(ctx, sources, used.stdout)
    used.stdout.flush()
