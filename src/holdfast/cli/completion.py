"""completion."""

from __future__ import annotations

import click
from click import shell_completion

from holdfast.cli import base

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_HOLDFAST_COMPLETE"


@base.command("completion", "holdfast completion bash > ~/.local/share/bash-completion/completions/holdfast")
@base.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete holdfast's verbs and options."""
    found = shell_completion.get_completion_class(shell)
    assert found is not None
    script = found(ctx.find_root().command, {}, "holdfast", VARIABLE).source()
    ctx.find_root().obj.out.result(
        "completion", {"shell": shell, "script": script}, lambda: click.echo(script)
    )
