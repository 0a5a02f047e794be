"""Write docs/reference/cli.md from the commands themselves.

python scripts/cli_page.py            rewrite the page
python scripts/cli_page.py --check    fail when it is not current
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from holdfast.cli import base, main, session
from holdfast.kit import language

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
HEAD = """\
# The command line

<!-- Written by scripts/cli_page.py from the commands; do not edit. -->

Results go to standard output, progress and what went wrong to standard error. With `--json` there
is one document on standard output, also on failure; `put`, `get`, `mv`, `rm`, `apply` and `demo`
write JSON Lines: a header, then `item`, `progress` and `result` events. Exit codes are those of
[errors](errors.md); `status --check` exits with 6 when the store is not healthy, `plan --exit-code`
with 9 when changes are pending. The language is that of `HOLDFAST_LANG`, `LC_ALL`, `LC_MESSAGES`
or `LANG`: English or Simplified Chinese.
"""


def page() -> str:
    language.use(language.ENGLISH)
    with click.Context(main.root, info_name="holdfast", obj=session.Session()) as ctx:
        parts = [HEAD, "## Options of every command\n", _options(_globals())]
        parts += _commands(main.root, ctx, ("holdfast",))
    return "\n".join(parts)


def _commands(group: click.Group, ctx: click.Context, names: tuple[str, ...]) -> Iterator[str]:
    for name in group.list_commands(ctx):
        member = group.get_command(ctx, name)
        assert member is not None
        yield from _command(member, ctx, (*names, name))


def _command(member: click.Command, ctx: click.Context, names: tuple[str, ...]) -> Iterator[str]:
    yield f"{'#' * len(names)} {' '.join(names)}\n"
    yield inspect.cleandoc(member.help or "") + "\n"
    if isinstance(member, click.Group):
        yield from _commands(member, ctx, names)
        return
    with click.Context(member, parent=ctx, info_name=" ".join(names[1:])) as inner:
        usage = " ".join(member.collect_usage_pieces(inner))
    yield f"```text\n{' '.join(names)} {usage}\n```\n"
    own = [one for one in member.params if isinstance(one, click.Option) and not one.hidden]
    if own:
        yield _options(own)
    examples = member.examples if isinstance(member, base.Command) else ()
    if examples:
        yield "```sh\n" + "\n".join(examples) + "\n```\n"


def _globals() -> list[click.Option]:
    return [one for one in base.global_options(hidden=False) if isinstance(one, click.Option)]


def _options(options: list[click.Option]) -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for one in options:
        names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
        value = "" if one.is_flag else f" `{one.metavar or _choices(one)}`"
        rows.append(f"| {names}{value.replace('|', chr(92) + '|')} | {one.help} |")
    return "\n".join(rows) + "\n"


def _choices(option: click.Option) -> str:
    kind = option.type
    return "|".join(str(one) for one in kind.choices) if isinstance(kind, click.Choice) else "TEXT"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        sys.exit(0 if current else "docs/reference/cli.md is not current: make generate")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
