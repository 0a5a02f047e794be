"""YAML text to plain values and the lines they stand on. The only user of ruamel.

Scalars that the file's schema has no use for (dates, tags of other programs) stay text or are
refused; nothing in a file is ever built into an object.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml import error as yaml_error
from ruamel.yaml import nodes as yaml_nodes

from holdfast import errors
from holdfast.config import document

DEPTH_MAX = 20
VALUES_MAX = 50_000

_CORE = "tag:yaml.org,2002:"
_TRUE = frozenset({"true", "yes", "on"})

# What ruamel lets through for an escape beyond Unicode, an unknown version, deep nesting.
_FOREIGN_ERRORS = (
    yaml_error.YAMLError, ArithmeticError, AssertionError, LookupError, RecursionError, ValueError,
)


def parse(text: str, file: Path) -> document.Document:
    """Raises ConfigError with file and line: not YAML, not a mapping, a key twice, too deep."""
    root = _compose(text, file)
    if root is None:
        raise errors.ConfigError(
            "config.empty", "{file} is empty",
            hint="remove it and run holdfast init FOLDER..., or fill it: "
            "holdfast config example prints an example",
            file=_name(file),
        )
    if not isinstance(root, yaml_nodes.MappingNode):
        raise errors.ConfigError(
            "config.not_a_mapping", "{file}, line {line}: these are not keys with values",
            hint="begin with a line such as cluster: main; "
            "holdfast config example prints an example",
            file=_name(file), line=_line(root),
        )
    walk = _Walk(file)
    values = walk.mapping(root, ())
    walk.key_lines[()] = _line(root)
    return document.Document(
        file=file, text=text, values=values,
        key_lines=walk.key_lines, value_lines=walk.value_lines,
    )


class _Walk:
    """One pass over the nodes; anchors are followed, within bounds."""

    def __init__(self, file: Path) -> None:
        self.key_lines: dict[document.KeyPath, int] = {}
        self.value_lines: dict[document.KeyPath, int] = {}
        self._file = file
        self._values = 0

    def mapping(
        self, node: yaml_nodes.MappingNode, path: document.KeyPath
    ) -> dict[str, document.Value]:
        values: dict[str, document.Value] = {}
        for key_node, value_node in node.value:
            name = self._key(key_node, path)
            inner = (*path, name)
            if name in values:
                raise errors.ConfigError(
                    "config.duplicate_key",
                    "{file}, line {line}: {key} is there twice; the first is on line {first_line}",
                    hint="remove one of the two, or join them",
                    file=_name(self._file), line=_line(key_node), key=document.dotted(inner),
                    first_line=self.key_lines[inner],
                )
            self.key_lines[inner] = _line(key_node)
            values[name] = self._value(value_node, inner)
        return values

    def _sequence(
        self, node: yaml_nodes.SequenceNode, path: document.KeyPath
    ) -> list[document.Value]:
        values: list[document.Value] = []
        for number, item in enumerate(node.value):
            self.key_lines[(*path, number)] = _line(item)
            values.append(self._value(item, (*path, number)))
        return values

    def _value(self, node: yaml_nodes.Node, path: document.KeyPath) -> document.Value:
        self._check_bounds(node, path)
        if isinstance(node, yaml_nodes.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml_nodes.SequenceNode):
            return self._sequence(node, path)
        value = _scalar(str(node.tag), str(node.value))
        if value is not None:
            self.value_lines[path] = _line(node)
        return value

    def _check_bounds(self, node: yaml_nodes.Node, path: document.KeyPath) -> None:
        self._values += 1
        if len(path) > DEPTH_MAX or self._values > VALUES_MAX:
            raise errors.ConfigError(
                "config.too_deep",
                "{file}, line {line}: {key} holds more, or deeper, than a file may hold",
                hint="check the indentation, and anchors (&) that contain themselves",
                file=_name(self._file), line=_line(node), key=document.dotted(path[:3]),
            )
        if not str(node.tag).startswith(_CORE):
            raise errors.ConfigError(
                "config.tag", "{file}, line {line}: {key} has the tag {tag}, which has no meaning",
                hint="remove the tag, or put the value in quotes",
                file=_name(self._file), line=_line(node), key=document.dotted(path),
                tag=document.visible(str(node.tag)),
            )

    def _key(self, node: yaml_nodes.Node, path: document.KeyPath) -> str:
        """The key as it is written: `1:` is the key "1"."""
        if not isinstance(node, yaml_nodes.ScalarNode):
            raise errors.ConfigError(
                "config.bad_key", "{file}, line {line}: a key of {key} is not a plain word",
                hint="put a key that begins with a bracket or a star in quotes",
                file=_name(self._file), line=_line(node), key=document.dotted(path) or "the file",
            )
        return str(node.value)


def _compose(text: str, file: Path) -> yaml_nodes.Node | None:
    reader = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", yaml_error.ReusedAnchorWarning)
            root: yaml_nodes.Node | None = reader.compose(text)
    except _FOREIGN_ERRORS as error:
        line, problem = _where(error, text)
        if "\\t" in problem:
            raise errors.ConfigError(
                "config.tab", "{file}, line {line}: a tab stands where YAML wants spaces",
                hint="indent with spaces", file=_name(file), line=line,
            ) from error
        raise errors.ConfigError(
            "config.not_yaml", "{file}, line {line}: this is not YAML: {problem}",
            hint="check the indentation, the quotes, and that a colon and a space follow each key",
            file=_name(file), line=line, problem=document.visible(problem),
        ) from error
    return root


def _where(error: BaseException, text: str) -> tuple[int, str]:
    """The line that a person should look at, and what ruamel found there."""
    if isinstance(error, RecursionError):
        return 1, "brackets are nested too deeply"
    if isinstance(error, yaml_error.MarkedYAMLError):
        problem = str(error.problem or error.context or "")
        at_end = "end of stream" in problem and error.context_mark is not None
        mark = error.context_mark if at_end else error.problem_mark or error.context_mark
        return (int(mark.line) + 1 if mark is not None else 1), problem
    position = getattr(error, "position", None)
    if isinstance(position, int):
        return text.count("\n", 0, position) + 1, "a character that YAML does not allow"
    if isinstance(error, AssertionError | LookupError):
        return 1, "an unknown version after %YAML"
    return 1, str(error)


def _scalar(tag: str, text: str) -> document.Value:
    kind = tag.removeprefix(_CORE)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in _TRUE
    try:
        if kind == "int":
            return _integer(text.replace("_", ""))
        if kind == "float":
            return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text
    return text


def _integer(text: str) -> int:
    return int(text, 0) if text.lower().lstrip("+-")[:2] in ("0x", "0o", "0b") else int(text)


def _line(node: yaml_nodes.Node) -> int:
    return int(node.start_mark.line) + 1


def _name(file: Path) -> str:
    return document.visible(str(file))
