"""Collect what holdfast says from its source, and keep the Chinese catalogue in step with it.

    python scripts/messages.py update     merge new messages into the .po file, drop stale ones
    python scripts/messages.py compile    write the .mo file from the .po file
    python scripts/messages.py check      fail on missing, stale, unfilled or differing entries

Messages are: templates and hints of `errors.X(code, message, hint=...)`; what is given to `_`,
`text` or `mark`; `message=`, `hint=`, `reason=` of plan steps, refusals and sentences; templates of config's
`Message(code, template, fields)`; help of commands and options; and click's own words.
"""

from __future__ import annotations

import ast
import datetime
import io
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import catalog, mofile, pofile

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "holdfast"
FOLDER = SOURCE / "locale" / "zh_CN" / "LC_MESSAGES"
PO = FOLDER / "holdfast.po"
MO = FOLDER / "holdfast.mo"
LOCALE = "zh_Hans_CN"
EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)  # the same messages give the same bytes

TRANSLATORS = frozenset({"_", "text", "mark"})
KEYWORDS = frozenset({"message", "hint", "help"})
REASONED = frozenset({"Step", "_step"})
POSITIONS = {  # of the arguments that are messages, by the name of what is called
    "Message": ((1, 2),),
    "Member": ((1, 2),),
    "_say": ((1, 2),),
    "_step": ((2, 3),),
    "_dataset_step": ((2, 3),),
    "_refusal": ((2, 4),),
}
COMMAND_DECORATORS = frozenset({"command", "group"})
WITHOUT_WORDS = re.compile(r"\{[^}]*\}|%\([a-z]+\)s")
CLICK = (
    "Usage:", "Options", "Commands", "Show this message and exit.", "Show the version and exit.",
    "Missing argument", "Missing option", "Missing parameter", "Missing command.",
    "No such option {name!r}.", "No such command {name!r}.", "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}", "Did you mean {possibility}?",
    "Option {name!r} does not take a value.", "Option {name!r} requires an argument.",
    "Argument {name!r} takes {nargs} values.", "{value!r} is not one of {choices}.",
)


def messages() -> dict[str, list[tuple[str, int]]]:
    """Each message with the places where it is said, in the order of files and lines."""
    found: dict[str, list[tuple[str, int]]] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        place = str(file.relative_to(ROOT))
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=place)
        for node, text in _said(tree, is_face="cli" in file.parts):
            found.setdefault(text, []).append((place, node))
    for text in CLICK:
        found.setdefault(text, []).append(("click", 0))
    return found


def faults() -> list[str]:
    """What is wrong with the catalogue; nothing when it is in step."""
    said = messages()
    held = {str(one.id): str(one.string) for one in read() if one.id}
    rows = [f"missing: {text}" for text in said if text not in held]
    rows += [f"stale: {text}" for text in held if text not in said]
    rows += [f"not translated: {text}" for text, other in held.items() if not other]
    rows += [
        f"other fields: {text}"
        for text, other in held.items()
        if other and "{" in text and fields(text) != fields(other)
    ]
    if not MO.exists() or _loaded() != held:
        rows.append("the .mo file is not that of the .po file: python scripts/messages.py compile")
    return rows


def fields(template: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(template) if name}


def read() -> catalog.Catalog:
    with PO.open("rb") as file:
        return pofile.read_po(file, locale=LOCALE)


def update() -> None:
    """Rewrite the .po file: what is said, with the translations that there are."""
    old = {one.id: one.string for one in read()} if PO.exists() else {}
    new = catalog.Catalog(
        locale=LOCALE, project="holdfast", version="1", fuzzy=False,
        header_comment="# What holdfast says, in Simplified Chinese.",
        creation_date=EPOCH, revision_date=EPOCH, last_translator="holdfast", language_team="holdfast",
        msgid_bugs_address="holdfast",
    )
    for text, places in messages().items():
        new.add(text, old.get(text, ""), locations=[(place, 0) for place in dict(places)])
    FOLDER.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        pofile.write_po(file, new, width=100, omit_header=False, include_lineno=False)


def _loaded() -> dict[str, str]:
    with MO.open("rb") as file:
        return {str(one.id): str(one.string) for one in mofile.read_mo(file) if one.id}


def compiled() -> bytes:
    buffer = io.BytesIO()
    mofile.write_mo(buffer, read())
    return buffer.getvalue()


def _said(tree: ast.AST, *, is_face: bool) -> Iterator[tuple[int, str]]:
    constants = _constants(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for one in _of_call(node):
                yield from _texts(one, constants)
        elif is_face and isinstance(node, ast.FunctionDef):
            yield from _of_command(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            yield from _of_table(node)


def _of_call(call: ast.Call) -> Iterator[ast.expr]:
    name = _name(call.func)
    if name in TRANSLATORS:
        yield from call.args[:1]
    if name.endswith("Error"):
        yield from call.args[1:2]
    for start, stop in POSITIONS.get(name, ()):
        yield from call.args[start:stop]
    for keyword in call.keywords:
        is_reason = keyword.arg == "reason" and name in REASONED
        if keyword.arg in KEYWORDS or is_reason:
            yield keyword.value


def _of_command(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    decorators = (one for one in function.decorator_list if isinstance(one, ast.Call))
    is_command = any(_name(one.func) in COMMAND_DECORATORS for one in decorators)
    if is_command and (text := ast.get_docstring(function)):
        yield function.lineno, text


def _of_table(assignment: ast.Assign | ast.AnnAssign) -> Iterator[tuple[int, str]]:
    """Of a table in capitals from a code to (message, hint)."""
    target = assignment.target if isinstance(assignment, ast.AnnAssign) else assignment.targets[0]
    table = assignment.value
    if isinstance(target, ast.Name) and target.id.isupper() and isinstance(table, ast.Dict):
        for row in table.values:
            if isinstance(row, ast.Tuple) and len(row.elts) == len(("message", "hint")):
                for one in row.elts:
                    yield from _texts(one, {})


def _texts(node: ast.expr, constants: dict[str, list[str]]) -> Iterator[tuple[int, str]]:
    """The literal strings that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if any(character.isalpha() for character in WITHOUT_WORDS.sub("", node.value)):
            yield node.lineno, node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, constants)
        yield from _texts(node.orelse, constants)
    elif isinstance(node, ast.Name) and node.id in constants:
        yield from ((node.lineno, text) for text in constants[node.id])
    elif isinstance(node, (ast.Dict, ast.Tuple)):
        values = node.values if isinstance(node, ast.Dict) else node.elts
        for value in values:
            yield from _texts(value, constants)


def _constants(tree: ast.AST) -> dict[str, list[str]]:
    """Names that are given literal strings somewhere in the file."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            target = node.targets[0]
            if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                found.setdefault(target.id, []).append(node.value.value)
    return found


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def main(arguments: list[str]) -> int:
    match arguments:
        case ["update"]:
            update()
        case ["compile"]:
            MO.write_bytes(compiled())
        case ["check"]:
            rows = faults()
            print("\n".join(rows) or "the catalogue is in step")
            return 1 if rows else 0
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
