"""The tree as the tidy tests see it: tracked files, syntax trees, the graph of imports."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "holdfast"


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file that is tracked, or would be: what .gitignore names is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout.decode()
    found = (ROOT / name for name in listed.split("\0") if name)
    return tuple(sorted(path for path in found if path.is_file()))


def texts() -> Iterator[tuple[str, str]]:
    """(path from the root, text) of every text file."""
    for path in files():
        data = path.read_bytes()
        if b"\0" not in data:
            yield str(path.relative_to(ROOT)), data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file and what it says."""

    path: Path
    tree: ast.Module

    @property
    def place(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def name(self) -> str:
        """holdfast.kit.atomic; for a package its own name, without __init__."""
        parts = self.path.relative_to(ROOT / "src").with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules(folder: str) -> tuple[Module, ...]:
    """The Python files below a folder of the root."""
    found = [path for path in files() if path.is_relative_to(ROOT / folder)]
    return tuple(
        Module(path, ast.parse(path.read_text())) for path in found if path.suffix == ".py"
    )


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(what is imported, the name it is bound to), for `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", alias.asname or alias.name


def root_name(node: ast.expr) -> str:
    """The first name of a.b.c; empty for anything else."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
