"""explain."""

from __future__ import annotations

import click

from holdfast.cli import base, render, render_store, session
from holdfast.operations import explain as explaining


@click.group("explain", cls=base.Group)
def explain() -> None:
    """Say why things are as they are."""


@explain.command("placement", examples=("holdfast explain placement",))
@click.pass_obj
def explain_placement(used: session.Session) -> None:
    """Show what the engine does by itself, what holdfast does, and what nobody does."""
    with used.prepare() as ctx:
        found = ctx.engine.capabilities
    used.out.result("explain.placement", found, lambda: render_store.capabilities(used.out, found))


@explain.command("object", examples=("holdfast explain object /data/clip.mp4",))
@base.argument("path", metavar="PATH")
@click.pass_obj
def explain_object(used: session.Session, path: str) -> None:
    """Show where each shard of an object lies, why there, and what it survives."""
    with used.open(read_only=True) as ctx:
        found = explaining.explain_object(ctx, path)
    used.out.result("explain.object", found, lambda: render.explanation(used.out, found))
