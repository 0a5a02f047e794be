"""Write docs/reference/errors.md from the places in src/holdfast that raise errors.

Run by `make generate`; the tidy test calls `collect` and `page` and fails when the page is stale.
Reads the syntax trees only: it never runs the code that raises.
"""

from __future__ import annotations

import ast
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast import errors

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "holdfast"
PAGE = ROOT / "docs" / "reference" / "errors.md"

# A refusal of a plan carries the same texts; raised alone, it is a RefusedError.
REFUSAL = "Refusal"
PARTS = ("code", "message", "hint")

HEADER = """\
# Errors

Every error that holdfast raises on purpose has a stable code, the class that decides the exit
code, a message and a hint that names the next step. With `--json` the code and the fields stand in
`error`; scripts should test the exit code first and the code second, never the text.

This page is written by `make generate` from the code; do not edit it.
"""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Raised:
    """One way to raise an error: templates as they stand in the code; None where passed on."""

    exit_code: int
    kind: str
    code: str
    message: str | None
    hint: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A call that builds an error, with the expression of each text that it gives."""

    call: ast.Call
    kind: str
    given: dict[str, ast.expr]

    @property
    def clear(self) -> bool:
        """Each text is literal, or handed on from an error, refusal or outcome."""
        return all(_literal(one) is not None or _passed_on(one) for one in self.given.values())

    def text(self, part: str) -> str | None:
        return _literal(self.given[part]) if part in self.given else None


def exit_codes() -> dict[str, int]:
    """The classes of the error tree, and what else carries their texts."""
    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.HoldfastError)
    }
    return found | {REFUSAL: errors.RefusedError.exit_code}


def collect(source: Path) -> tuple[list[Raised], list[str]]:
    """Every error built below `source`, sorted, and the places whose texts are not literal."""
    found: set[Raised] = set()
    unclear: list[str] = []
    for file in sorted(source.rglob("*.py")):
        for place in places(ast.parse(file.read_text())):
            code = place.text("code")
            if not place.clear:
                unclear.append(f"{file.relative_to(source)}:{place.call.lineno} {place.kind}")
            elif code:
                found.add(_raised(place, code))
    return sorted(found, key=lambda one: (one.exit_code, one.kind, one.code, str(one))), unclear


def places(tree: ast.AST) -> Iterator[Place]:
    """The calls that build an error or a refusal."""
    kinds = exit_codes()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given = dict(zip(PARTS, node.args, strict=False))
            given |= {word.arg: word.value for word in node.keywords if word.arg in PARTS}
            if name in kinds and "code" in given:
                yield Place(node, name, given)


def unfilled(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, field) of every field of a template that the raise site does not give."""
    for place in places(tree):
        names = {word.arg for word in place.call.keywords}
        if place.kind == REFUSAL or None in names:
            continue
        for template in (place.text("message"), place.text("hint")):
            for name in _fields(template or ""):
                if name not in names - {"hint"}:
                    yield place.call.lineno, name


def page(raised: list[Raised]) -> str:
    """The whole page: one table for each class, in the order of exit codes."""
    parts = [HEADER]
    for exit_code, kind in sorted({(one.exit_code, one.kind) for one in raised}):
        title = "Refusals of a plan" if kind == REFUSAL else kind
        parts.append(f"\n## {title}: exit code {exit_code}\n")
        parts.append("| code | message | hint |\n|---|---|---|")
        parts.extend(
            f"| `{one.code}` | {_cell(one.message)} | {_cell(one.hint)} |"
            for one in raised
            if one.kind == kind
        )
    return "\n".join(parts) + "\n"


def _raised(place: Place, code: str) -> Raised:
    return Raised(
        exit_code=exit_codes()[place.kind], kind=place.kind, code=code,
        message=place.text("message"), hint=place.text("hint") if "hint" in place.given else "",
    )


def _literal(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _passed_on(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in PARTS


def _fields(template: str) -> list[str]:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        return [f"{template!r}: {error}"]


def _cell(template: str | None) -> str:
    """Markdown of a template: fields in italics, doubled braces single, bars escaped."""
    if template is None:
        return "*as its cause says*"
    shown = []
    for text, name, _, _ in string.Formatter().parse(template):
        shown.append(text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;"))
        if name is not None:
            shown.append(f"*{name}*")
    return "".join(shown).replace("\n", " ")


def main() -> int:
    raised, unclear = collect(SOURCE)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(raised))
    for place in unclear:
        print(f"not literal, so neither documented nor translated: {place}", file=sys.stderr)
    return 1 if unclear else 0


if __name__ == "__main__":
    sys.exit(main())
