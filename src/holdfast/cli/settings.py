"""config."""

from __future__ import annotations

import json

import click

from holdfast.cli import base, render, session


@click.group("config", cls=base.Group)
def config() -> None:
    """Show the user's file as holdfast understands it."""


@config.command("show", examples=("holdfast config show",))
@click.pass_obj
def show(used: session.Session) -> None:
    """Show every effective value and where it came from."""
    from holdfast.config import render as rendering  # noqa: PLC0415 - loads on use

    effective = used.effective()
    used.out.result(
        "config", {"file": effective.spec.file, "settings": rendering.show_data(effective)},
        lambda: render.settings(used.out, rendering.show(effective)),
    )


@config.command("path", examples=("holdfast config path",))
@click.pass_obj
def path(used: session.Session) -> None:
    """Show which file is used."""
    file = used.effective().spec.file
    used.out.result("config.path", {"file": file}, lambda: used.out.line(file))


@config.command("schema", examples=("holdfast config schema > holdfast.schema.json",))
@click.pass_obj
def schema(used: session.Session) -> None:
    """Print the JSON Schema of the user's file."""
    from holdfast.config import reference  # noqa: PLC0415 - loads on use

    text = reference.json_schema()
    used.out.result(
        "config.schema", json.loads(text), lambda: used.out.line(text.rstrip("\n"))
    )


@config.command("example", examples=("holdfast config example > holdfast.yaml",))
@click.pass_obj
def example(used: session.Session) -> None:
    """Print a commented example of the user's file."""
    from holdfast.config import reference  # noqa: PLC0415 - loads on use

    text = reference.example()
    used.out.result("config.example", {"text": text}, lambda: used.out.line(text.rstrip("\n")))
