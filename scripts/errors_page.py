"""Write docs/reference/errors.md from the places in src/holdfast that raise errors.

Run by `make generate`; the tidy test calls `collect` and `page` and fails when the page is stale.
Reads the syntax trees only: it never runs the code that raises.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "holdfast"
PAGE = ROOT / "docs" / "reference" / "errors.md"

HEADER = """\
# Errors

Every error that holdfast raises on purpose has a stable code, the class that decides the exit
code, a message and a hint that names the next step. With `--json` the code and the fields stand in
`error`; scripts should test the exit code first and the code second, never the text.

This page is written by `make generate` from the code; do not edit it.
"""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Raised:
    """One way to raise an error: templates as they stand in the code."""

    exit_code: int
    kind: str
    code: str
    message: str
    hint: str


def classes() -> dict[str, type[errors.HoldfastError]]:
    """The error tree by name."""
    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.HoldfastError)
    }


def collect(source: Path) -> tuple[list[Raised], list[str]]:
    """Every error built below `source`, sorted, and the places whose texts are not literal."""
    found: set[Raised] = set()
    unclear: list[str] = []
    for file in sorted(source.rglob("*.py")):
        for call, kind in _constructions(ast.parse(file.read_text())):
            raised = _read(call, kind)
            if raised is None:
                unclear.append(f"{file.relative_to(source)}:{call.lineno} {kind}")
            else:
                found.add(raised)
    return sorted(found), unclear


def page(raised: list[Raised]) -> str:
    """The whole page: one table for each class, in the order of exit codes."""
    parts = [HEADER]
    for exit_code, kind in sorted({(one.exit_code, one.kind) for one in raised}):
        parts.append(f"\n## {kind}: exit code {exit_code}\n")
        parts.append("| code | message | hint |\n|---|---|---|")
        parts.extend(
            f"| `{one.code}` | {_cell(one.message)} | {_cell(one.hint)} |"
            for one in raised
            if one.kind == kind
        )
    return "\n".join(parts) + "\n"


def _constructions(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    kinds = classes()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in kinds and node.args:
                yield node, name


def _read(call: ast.Call, kind: str) -> Raised | None:
    texts = [_literal(argument) for argument in call.args[:2]]
    hints = [_literal(word.value) for word in call.keywords if word.arg == "hint"] or [""]
    code, message, hint = [*texts, None, None][:2] + hints[:1]
    if code is None or message is None or hint is None:
        return None
    exit_code = classes()[kind].exit_code
    return Raised(exit_code=exit_code, kind=kind, code=code, message=message, hint=hint)


def _literal(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _cell(template: str) -> str:
    """Fields as <field>; `{{` is a brace; a bar would end the cell."""
    marked = template.replace("{{", "\0").replace("}}", "\1")
    marked = marked.replace("{", "‹").replace("}", "›").replace("|", "\\|")
    return marked.replace("\0", "{").replace("\1", "}").replace("\n", " ")


def main() -> int:
    raised, unclear = collect(SOURCE)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(raised))
    for place in unclear:
        print(f"not literal, so neither documented nor translated: {place}", file=sys.stderr)
    return 1 if unclear else 0


if __name__ == "__main__":
    sys.exit(main())
