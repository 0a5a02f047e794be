"""Commands and groups as holdfast has them: loaded on use, in the reader's language, and taking
the global options before or after the verb.

Help is plain when it is piped and dressed by rich-click on a terminal, so that neither pays for
what it does not use.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import click

from holdfast.kit import language

_ = language.text

FILE_HELP = language.mark(
    "The user's file. Default: HOLDFAST_FILE, then ./holdfast.yaml, then the XDG config folder."
)
HELP_NAMES = ("-h", "--help")


@dataclass(slots=True)
class Options:
    """The global options, wherever on the line they stood."""

    file: str | None = None
    state: str | None = None
    json: bool = False
    quiet: bool = False
    color: bool | None = None


class Command(click.Command):
    """A verb. `examples` are command lines that work, shown at the end of its help."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs["context_settings"] = {"help_option_names": list(HELP_NAMES)}
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.extend(global_options(hidden=True))

    def get_help(self, ctx: click.Context) -> str:
        return dressed_help(self, ctx) or super().get_help(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section(_("Examples")):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        formatter.write_paragraph()
        formatter.write_text(_("holdfast --help lists the options that every command takes."))


class Member(NamedTuple):
    """A verb that is imported when it is used: `module:attribute`, and the first line of its help."""

    target: str
    summary: str


class Group(click.Group):
    """Verbs of one noun."""

    command_class = Command

    def __init__(self, *args: Any, members: Mapping[str, Member] | None = None, **kwargs: Any) -> None:
        kwargs["context_settings"] = {"help_option_names": list(HELP_NAMES)}
        kwargs.setdefault("no_args_is_help", True)
        super().__init__(*args, **kwargs)
        self.members = members or {}
        self.is_root = bool(members)
        self.params.extend(global_options(hidden=not self.is_root))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.members, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in self.members:
            module, _colon, attribute = self.members[cmd_name].target.partition(":")
            found = getattr(importlib.import_module(module), attribute)
        return None if found is None else localised(found)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing the members for a line of help each."""
        rows = [(name, _(member.summary)) for name, member in self.members.items()]
        for name in super().list_commands(ctx):
            member = self.get_command(ctx, name)
            assert member is not None
            rows.append((name, member.get_short_help_str(formatter.width)))
        with formatter.section(_("Commands")):
            formatter.write_dl(rows)

    def get_help(self, ctx: click.Context) -> str:
        return dressed_help(self, ctx) or super().get_help(ctx)


def localised(command: click.Command) -> click.Command:
    """The command with its help in the reader's language; itself in English."""
    if language.current() == language.ENGLISH:
        return command
    twin = copy.copy(command)
    twin.help = _(inspect.cleandoc(command.help or ""))
    twin.params = [_localised_parameter(one) for one in command.params]
    return twin


def global_options(*, hidden: bool) -> list[click.Parameter]:
    """A fresh set of the options that every command takes."""
    rows: Sequence[tuple[Sequence[str], str, Mapping[str, Any]]] = (
        (("-f", "--file"), FILE_HELP, {"metavar": "FILE"}),
        (("--state",), language.mark("The state folder, instead of the one in the file."), {"metavar": "DIR"}),
        (("--json",), language.mark("One JSON document on standard output; JSON Lines for long runs."),
         {"is_flag": True}),
        (("-q", "--quiet"), language.mark("Print only what was asked for, and errors."), {"is_flag": True}),
        (("--color/--no-color",), language.mark("Colours, or none. NO_COLOR is heeded."), {"default": None}),
    )
    return [
        click.Option(
            list(names), help=text, hidden=hidden, expose_value=False, callback=_remember,
            show_default=False, **settings,
        )
        for names, text, settings in rows
    ]


def dressed_help(command: click.Command, ctx: click.Context) -> str | None:
    """The help as rich-click shows it on a terminal; None when it goes elsewhere."""
    if not sys.stdout.isatty():
        return None
    from holdfast.cli import dressing  # noqa: PLC0415 - rich-click, 150 ms, only for eyes

    return dressing.help_text(command, ctx)


def argument(*names: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """click.argument; here so that command files need one import."""
    return click.argument(*names, **settings)


def option(*names: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(*names, **settings)


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """A verb whose help is the docstring of the function; `examples` are command lines."""
    return cast(
        Callable[[Callable[..., Any]], Command],
        click.command(name, cls=Command, examples=examples),
    )


def _localised_parameter(parameter: click.Parameter) -> click.Parameter:
    if not isinstance(parameter, click.Option) or not parameter.help:
        return parameter
    twin = copy.copy(parameter)
    twin.help = _(parameter.help)
    return twin


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep a global option that was given; the one nearest to the end wins."""
    if value is None or (value is False and parameter.name != "color"):
        return
    setattr(ctx.find_root().obj.options, parameter.name or "", value)
