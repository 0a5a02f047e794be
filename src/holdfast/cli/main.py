"""The entry point: one tree of verbs, and the one place where errors become words and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from holdfast import errors
from holdfast.cli import base, session
from holdfast.kit import language

_ = language.text

DONE = 0
BUG = errors.BugError.exit_code
SIGNAL_BASE = 128
COMPLETION_VARIABLE = "_HOLDFAST_COMPLETE"

MEMBERS = {
    "init": base.Member(
        "holdfast.cli.store:init",
        "Write holdfast.yaml: a node and a domain for each folder, and one dataset at /data.",
    ),
    "config": base.Member(
        "holdfast.cli.settings:config",
        "Show the user's file as holdfast understands it.",
    ),
    "plan": base.Member(
        "holdfast.cli.store:plan",
        "Show what apply would do to bring the store to what the file asks for. Changes nothing.",
    ),
    "apply": base.Member(
        "holdfast.cli.store:apply",
        "Bring the store to what the file asks for: prepare nodes, make and change datasets.",
    ),
    "put": base.Member(
        "holdfast.cli.objects:put",
        "Copy local files and folders into the store, as cp -r does.",
    ),
    "get": base.Member(
        "holdfast.cli.objects:get",
        "Copy objects and folders of the store to local files, as cp -r does.",
    ),
    "cat": base.Member(
        "holdfast.cli.objects:cat",
        "Write the contents of objects to standard output, one after another.",
    ),
    "ls": base.Member(
        "holdfast.cli.names:ls",
        "List folders of the store; without a path, the datasets.",
    ),
    "stat": base.Member(
        "holdfast.cli.names:stat",
        "Show what is known of objects and folders.",
    ),
    "mv": base.Member(
        "holdfast.cli.names:mv",
        "Move or rename objects and folders. Never replaces what is there.",
    ),
    "rm": base.Member(
        "holdfast.cli.names:rm",
        "Remove objects, and folders with -r. Snapshots still hold what they held.",
    ),
    "find": base.Member(
        "holdfast.cli.names:find",
        "Search the store by name, size, kind and age.",
    ),
    "status": base.Member(
        "holdfast.cli.store:status",
        "Say whether data can be lost, whether it can be read and written, and what to do.",
    ),
    "snapshot": base.Member(
        "holdfast.cli.datasets:snapshot",
        "Keep and read earlier states of a dataset.",
    ),
    "dataset": base.Member(
        "holdfast.cli.datasets:dataset",
        "Show the datasets of the user's file and what they hold.",
    ),
    "index": base.Member(
        "holdfast.cli.store:index",
        "Care for the index in the state folder; the truth about names lies on the nodes.",
    ),
    "explain": base.Member(
        "holdfast.cli.explain:explain",
        "Say why things are as they are.",
    ),
    "completion": base.Member(
        "holdfast.cli.completion:completion",
        "Print the script that lets a shell complete holdfast's verbs and options.",
    ),
    "demo": base.Member(
        "holdfast.cli.demo:demo",
        "Show the main job on real files, with nodes that die, and compare every byte.",
    ),
}


@click.group(cls=base.Group, members=MEMBERS)
@click.version_option(package_name="holdfast", message="%(version)s")
def root() -> None:
    """Keep data safe on many disks: sharded, replicated or erasure-coded, verified, explained.

    One file, holdfast.yaml, says what must be kept and how well. Start with holdfast init, or see
    it all at work with holdfast demo.
    """


class _Terminated(KeyboardInterrupt):
    """SIGTERM, outside of work that stops by itself."""


def main() -> NoReturn:
    """The `holdfast` program."""
    signal.signal(signal.SIGTERM, _terminate)
    code = run(sys.argv[1:], session.Session())
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        code = code or SIGNAL_BASE + signal.SIGPIPE
    sys.exit(code)


def run(arguments: Sequence[str], used: session.Session) -> int:
    """Run one command line; returns the exit code of design and docs. Prints what went wrong."""
    used.options.json = _asks_for_json(arguments)  # a usage error too must come as a document
    _speak_to_click()
    try:
        return _invoke(list(arguments), used)
    except errors.HoldfastError as error:
        used.out.error(error)
        return error.exit_code
    except click.ClickException as error:
        used.out.error(_usage_error(error))
        return errors.ConfigError.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        return _interrupted(used, error)
    except BrokenPipeError:
        _silence()
        return SIGNAL_BASE + signal.SIGPIPE
    except Exception as error:
        used.out.error(_bug(error))
        return BUG


def _invoke(arguments: list[str], used: session.Session) -> int:
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from click import shell_completion  # noqa: PLC0415 - only a shell asks for it

        return shell_completion.shell_complete(
            root, {"obj": used}, "holdfast", COMPLETION_VARIABLE, instruction
        )
    try:
        with base.localised(root).make_context("holdfast", arguments, obj=used) as ctx:
            code = ctx.command.invoke(ctx)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return errors.ConfigError.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    finally:
        used.out.flush()
    return code if isinstance(code, int) else DONE


def _asks_for_json(arguments: Sequence[str]) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _usage_error(error: click.ClickException) -> errors.ConfigError:
    hint = "holdfast --help"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"{error.ctx.command_path} --help"
    return errors.ConfigError(
        "usage", "{reason}", hint="{help} shows how it is used",
        reason=error.format_message(), help=hint,
    )


def _bug(error: Exception) -> errors.BugError:
    import traceback  # noqa: PLC0415 - hopefully never

    trace = "".join(traceback.format_exception(error))
    print(trace, file=sys.stderr, end="")
    return errors.BugError(
        "bug", "this should not have happened: {kind}: {reason}",
        hint="please report it with the lines above and the output of holdfast status --json",
        kind=type(error).__name__, reason=str(error),
    )


def _interrupted(used: session.Session, error: BaseException) -> int:
    terminated = used.received is signal.SIGTERM or isinstance(error, _Terminated)
    used.out.stopped("terminated" if terminated else "interrupted")
    return SIGNAL_BASE + (signal.SIGTERM if terminated else signal.SIGINT)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _silence() -> None:
    """Nobody reads any more: what Python still holds back must not be complained about."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _speak_to_click() -> None:
    """Let click's own words come from our catalogue."""
    if language.current() != language.ENGLISH:
        import gettext  # noqa: PLC0415 - click has loaded it

        os.environ["LANGUAGE"] = language.current()
        gettext.bindtextdomain(language.DOMAIN, str(language.FOLDER))
        gettext.textdomain(language.DOMAIN)


if __name__ == "__main__":
    main()
