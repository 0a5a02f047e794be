"""Promises about the whole tree that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from scripts import errors_page
from tests.tidy import tree

# Faces and entry points: reached from a command line, fsspec or a name in pyproject.toml.
FACES = ("holdfast.cli", "holdfast.client")
SIZE_BYTES_MAX = 512 * 1024
# Patterns are joined from halves, so that this file does not match itself.
LEFT_FOR_LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
REGISTRY = re.compile(
    r"(?<!emit-)index" r"-url|/simple/?\b.*pyp" r"i|pyp" r"i\.org/simple|files\.python" r"hosted|"
    r"registry\." r"npmjs|find-" r"links +[/h]"
)
MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9._\-{}\]\)/])/(?:wo" r"rk|ro" r"ot|fa" r"rm)/")


def test_no_test_replaces_a_part_of_holdfast() -> None:
    found = [
        f"{module.place}:{line}"
        for module in tree.modules("tests")
        for line in replacements(module.tree)
    ]

    assert not found, "fakes implement our protocols; our own modules are never patched"


@pytest.mark.parametrize(
    "code",
    [
        "def test(monkeypatch): monkeypatch.setattr('holdfast.kit.atomic.sync', None)",
        "from holdfast.kit import atomic\ndef test(monkeypatch): monkeypatch.setattr(atomic, 'sync', 1)",
        "from unittest import mock\nmock.patch('holdfast.kit.atomic.sync')",
        "from unittest import mock\nfrom holdfast.kit import atomic\nmock.patch.object(atomic, 'sync')",
        "from holdfast.kit import atomic\natomic.sync = print",
        "import holdfast.kit.atomic\nsetattr(holdfast.kit.atomic, 'sync', print)",
    ],
)
def test_a_replaced_part_is_found(code: str) -> None:
    assert list(replacements(ast.parse(code)))


def test_what_replaces_nothing_of_ours_is_left_alone() -> None:
    code = (
        "import os\nfrom holdfast.kit import atomic\n"
        "def test(monkeypatch):\n"
        "    monkeypatch.setenv('A', 'b')\n    monkeypatch.setattr(os, 'fsync', None)\n"
        "    atomic.set_hook(None)\n"
    )

    assert not list(replacements(ast.parse(code)))


@pytest.mark.parametrize("folder", ["src", "tests", "scripts", "bench"])
def test_every_module_says_what_it_owns(folder: str) -> None:
    silent = [
        module.place
        for module in tree.modules(folder)
        if not ast.get_docstring(module.tree) and not speaks_for_itself(module)
    ]

    assert not silent


def test_no_module_is_dead() -> None:
    modules = tree.modules("src")
    used: set[str] = set()
    for module in modules:
        used |= {name for name in mentions(module.tree) if name != module.name}

    dead = [
        module.name
        for module in modules
        if not module.name.startswith(FACES)
        and module.path.name not in {"__init__.py", "__main__.py"}
        and not any(name == module.name or name.startswith(module.name + ".") for name in used)
    ]

    assert not dead, "no other module imports these"


def test_every_error_is_documented_and_translatable() -> None:
    raised, unclear = errors_page.collect(tree.SOURCE)

    assert not unclear, "code, message and hint must be literal where the error is raised"
    stale = set(errors_page.PAGE.read_text().splitlines()) ^ set(
        errors_page.page(raised).splitlines()
    )
    assert not stale, "run: make generate"


def test_an_error_code_has_one_exit_code() -> None:
    raised, _ = errors_page.collect(tree.SOURCE)
    kinds: dict[str, set[int]] = {}
    for one in raised:
        kinds.setdefault(one.code, set()).add(one.exit_code)

    assert not {code: found for code, found in kinds.items() if len(found) > 1}


def test_error_templates_name_only_fields_that_are_given() -> None:
    wrong = [
        f"{module.place}:{line} {name}"
        for module in tree.modules("src")
        for line, name in errors_page.unfilled(module.tree)
    ]

    assert not wrong


def test_nothing_is_left_for_later() -> None:
    found = [f"{place}: {match}" for place, match in search(LEFT_FOR_LATER)]
    raised = [
        f"{module.place}:{node.lineno}"
        for module in tree.modules("src")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name) and node.id == "NotImplementedError"
    ]

    assert not found + raised


def test_no_package_registry_is_spelled_out() -> None:
    assert not [f"{place}: {match}" for place, match in search(REGISTRY)]


def test_no_path_of_a_machine_is_spelled_out() -> None:
    assert not [f"{place}: {match}" for place, match in search(MACHINE_PATH)]


def test_every_pinned_package_has_hashes() -> None:
    for file in sorted((tree.ROOT / "requirements").glob("*.txt")):
        pinned = re.split(r"\n(?=[a-z])", file.read_text())

        without = [one.split()[0] for one in pinned if "--hash=sha256:" not in one]

        assert not without, file.name
        assert all("==" in one.split()[0] for one in pinned), file.name


def test_no_file_is_large() -> None:
    large = [str(path) for path in tree.files() if path.stat().st_size > SIZE_BYTES_MAX]

    assert not large


def speaks_for_itself(module: tree.Module) -> bool:
    """Test modules and their fixtures serve the place where they lie; an empty package is silent."""
    if not module.path.is_relative_to(tree.ROOT / "tests"):
        return False
    return module.path.name.startswith(("test_", "conftest")) or not module.tree.body


def search(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for place, text in tree.texts():
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{place}:{number}", line.strip()[:120]


def mentions(node: ast.AST) -> Iterator[str]:
    """Modules that are imported, or named in a string by what loads them on use."""
    for name, _ in tree.imports(node):
        yield name
    for part in ast.walk(node):
        text = part.value if isinstance(part, ast.Constant) else None
        if isinstance(text, str) and re.fullmatch(r"holdfast(\.\w+)+(:\w+)?", text):
            yield text.partition(":")[0]


def replacements(node: ast.AST) -> Iterator[int]:
    """Lines that put something else in the place of a part of holdfast."""
    ours = {bound for name, bound in tree.imports(node) if name.split(".")[0] == "holdfast"}
    modules = {
        bound
        for name, bound in tree.imports(node)
        if name.split(".")[0] == "holdfast" and name.rpartition(".")[2].islower()
    }
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and part.args and patches(part.func):
            target = part.args[0]
            text = target.value if isinstance(target, ast.Constant) else ""
            if str(text).startswith("holdfast") or tree.root_name(target) in ours:
                yield part.lineno
        elif isinstance(part, ast.Assign):
            for target in part.targets:
                if isinstance(target, ast.Attribute) and tree.root_name(target) in modules:
                    yield part.lineno


def patches(function: ast.expr) -> bool:
    """monkeypatch.setattr, setitem, delattr, delitem; setattr; mock.patch and its kin."""
    if isinstance(function, ast.Name):
        return function.id in {"setattr", "delattr", "patch"}
    if not isinstance(function, ast.Attribute):
        return False
    if function.attr in {"setattr", "setitem", "delattr", "delitem", "patch"}:
        return True
    return function.attr in {"object", "multiple", "dict"} and "patch" in ast.unparse(function)
