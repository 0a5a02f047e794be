"""demo."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from holdfast.cli import base, render_demo, session
from holdfast.operations import demo as showing


@base.command("demo", "holdfast demo", "holdfast demo --keep --dir /mnt/big/demo", "holdfast demo --json")
@base.option("--keep", is_flag=True, help="Leave the folder, to look at it afterwards.")
@base.option("--dir", "folder", metavar="DIR", help="A new folder to work in. Default: below ~/.cache.")
@click.pass_obj
def demo(used: session.Session, keep: bool, folder: str | None) -> None:
    """Show the main job on real files, with nodes that die, and compare every byte.

    Makes six folder nodes in three domains, stores thousands of small files and some large ones,
    destroys two nodes under a reader and a writer, reads a snapshot back, and compares everything
    with its source. Takes about a minute and 2 GiB, and cleans up after itself.
    """
    place = _folder(used, folder)
    used.out.begin("demo")
    with used.interruptible():
        report = showing.run(showing.Request(
            folder=place, keep=keep, progress=used.out.progress, cancel=used.cancel,
            tell=render_demo.teller(used.out),
        ))
    render_demo.report(used.out, report, kept=keep)
    showing.verdict(report)


def _folder(used: session.Session, named: str | None) -> Path:
    if named is not None:
        return Path(os.path.abspath(named))
    cache = used.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    home = Path(cache) / "holdfast-demo"
    home.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=home))
