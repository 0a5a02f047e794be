"""Help as rich-click shows it: the same command, in its classes."""

from __future__ import annotations

import click
import rich_click

from holdfast.cli import base
from holdfast.kit import language

_ = language.text


class _Command(rich_click.RichCommand):
    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_usage(self, ctx, formatter)


class _Group(rich_click.RichGroup):
    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_usage(self, ctx, formatter)


def help_text(command: click.Command, ctx: click.Context) -> str:
    twin = _twin(command, ctx)
    words = rich_click.RichHelpConfiguration(
        options_panel_title=_("Options"), commands_panel_title=_("Commands")
    )
    with rich_click.RichContext(
        twin, parent=ctx.parent, info_name=ctx.info_name, rich_help_config=words
    ) as dressed:
        return twin.get_help(dressed)


def _member(group: click.Group, ctx: click.Context, name: str) -> click.Command:
    """A verb of the group; one that is not loaded yet as its line of help only."""
    if isinstance(group, base.Group) and name in group.members:
        return click.Command(name, help=_(group.members[name].summary))
    found = group.get_command(ctx, name)
    assert found is not None
    return found


def _help_with_examples(command: click.Command) -> str:
    examples = command.examples if isinstance(command, base.Command) else ()
    if not examples:
        return command.help or ""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"{command.help}\n\n\b\n{_('Examples')}:\n{lines}"


def _write_usage(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    pieces = " ".join(command.collect_usage_pieces(ctx))
    formatter.write_usage(ctx.command_path, pieces, prefix=_("Usage:"))


def _twin(command: click.Command, ctx: click.Context) -> rich_click.RichCommand:
    if not isinstance(command, click.Group):
        return _Command(
            name=command.name, params=command.params, help=_help_with_examples(command)
        )
    members = {name: _member(command, ctx, name) for name in command.list_commands(ctx)}
    return _Group(
        name=command.name, params=command.params, help=command.help, commands=members
    )
