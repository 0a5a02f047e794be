"""init, plan, apply, status and index."""

from __future__ import annotations

import sys

import click

from holdfast import errors
from holdfast.cli import base, render_store, session
from holdfast.kit import language
from holdfast.model import plan as planning
from holdfast.operations import converge, initialise, rebuild
from holdfast.operations import status as judging

_ = language.text

NOT_HEALTHY = 6
CHANGES_PENDING = 9
REFUSED = errors.RefusedError.exit_code


@base.command("init", "holdfast init /mnt/d1 /mnt/d2 /mnt/d3")
@base.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.pass_obj
def init(used: session.Session, folders: tuple[str, ...]) -> None:
    """Write holdfast.yaml: a node and a domain for each folder, and one dataset at /data.

    The protection is chosen from the number of nodes, and explained. A file that is there is never
    replaced, and no folder is touched before holdfast apply.
    """
    file = used.options.file or used.environ.get("HOLDFAST_FILE")
    written = initialise.initialise(folders, file=file, state=used.options.state)
    used.out.result("init", written, lambda: render_store.initialised(used.out, written))


@base.command("plan", "holdfast plan", "holdfast plan --exit-code")
@base.option("--exit-code", is_flag=True, help="Exit with 9 when changes are pending.")
@click.pass_obj
def plan(used: session.Session, exit_code: bool) -> int:
    """Show what apply would do to bring the store to what the file asks for. Changes nothing."""
    with used.prepare() as ctx:
        made = converge.make_plan(ctx)
    used.out.result("plan", render_store.plan_data(made), lambda: render_store.plan(used.out, made))
    if made.refusals:
        return REFUSED
    return CHANGES_PENDING if exit_code and made.steps else 0


@base.command("apply", "holdfast apply --yes", "holdfast apply --plan 0123456789abcdef")
@base.option("--yes", is_flag=True, help="Accept the plan that is made now.")
@base.option("--plan", "digest", metavar="DIGEST", help="Accept only the plan with this digest.")
@click.pass_obj
def apply(used: session.Session, yes: bool, digest: str | None) -> None:
    """Bring the store to what the file asks for: prepare nodes, make and change datasets.

    Shows the plan and asks, unless it was accepted. A plan with a refusal changes nothing.
    """
    used.out.begin("apply")
    with used.prepare() as ctx:
        made = converge.make_plan(ctx)
        converge.check_applicable(made)
        if digest is not None:
            converge.check_digest(made, digest)
        elif not yes and made.steps:
            _ask(used, made)
        done = converge.apply(ctx, made, render_store.step_teller(used.out))
    render_store.applied(used.out, made, done)


@base.command("status", "holdfast status", "holdfast status --check --json")
@base.option("--check", is_flag=True, help="Exit with 6 when the store is not healthy.")
@click.pass_obj
def status(used: session.Session, check: bool) -> int:
    """Say whether data can be lost, whether it can be read and written, and what to do."""
    with used.prepare() as ctx:
        found = judging.look(ctx)
    used.out.result("status", render_store.status_data(found), lambda: render_store.status(used.out, found))
    return NOT_HEALTHY if check and not found.healthy else 0


@click.group("index", cls=base.Group)
def index() -> None:
    """Care for the index in the state folder; the truth about names lies on the nodes."""


@index.command("rebuild", examples=("holdfast index rebuild --yes",))
@base.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rebuild_index(used: session.Session, yes: bool) -> None:
    """Make the index anew from the nodes. The state folder may be gone."""
    if not yes:
        _confirm(used, _("Rebuild the index from the nodes?"), "holdfast index rebuild --yes")
    with used.open() as ctx:
        found = rebuild.rebuild_index(ctx)
    used.out.result("index", found, lambda: render_store.index_rebuilt(used.out, found))


def _ask(used: session.Session, made: planning.Plan) -> None:
    render_store.plan(used.out, made)
    _confirm(used, _("Apply this plan?"), f"holdfast apply --plan {made.digest}")


def _confirm(used: session.Session, question: str, command: str) -> None:
    """Raises RefusedError when the answer is no, or nobody is there to answer."""
    if not used.out.json and sys.stdin.isatty() and click.confirm(question):
        return
    raise errors.RefusedError(
        "confirm.needed", "nothing was done: this must be accepted first",
        hint="to accept it: {command}", command=command,
    )
