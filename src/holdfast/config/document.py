"""The user's file as plain values that know their lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
KeyPath = tuple[str | int, ...]

# Patterns of names; the same in Python, Rust (pydantic) and JSON Schema.
WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
CLUSTER = r"^[a-z0-9-]{1,40}$"

_SHOWN_CHARACTERS_MAX = 240  # enough for the path of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`file` is absolute. Lines count from 1; an item of a list has the line where it begins.

    `value_lines` has scalars that are not empty only.
    """

    file: Path
    text: str
    values: dict[str, Value]
    key_lines: Mapping[KeyPath, int]
    value_lines: Mapping[KeyPath, int]

    def key_line(self, path: KeyPath) -> int:
        """Where the key stands, or the nearest key above it that is there."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.key_lines:
                return self.key_lines[path[:length]]
        return self.key_lines.get((), 1)

    def value_line(self, path: KeyPath) -> int:
        """Where a scalar stands; of other values, the line of the key."""
        found = self.value_lines.get(path)
        return self.key_line(path) if found is None else found

    def place(self, path: KeyPath) -> dict[str, str | int]:
        """The fields `file`, `line` and `key` of an error."""
        return {
            "file": visible(str(self.file)), "line": self.value_line(path), "key": dotted(path),
        }

    def has(self, path: KeyPath) -> bool:
        return path in self.key_lines


def dotted(path: KeyPath) -> str:
    """`engine.nodes[0].path`, as errors and `config show` name a key."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{visible(part)}" if text else visible(part)
    return text


def shown(value: Value) -> str:
    """A value in an error: short, in quotes if it is text, safe to print."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{visible(value)}"'
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a group of keys"
    return visible(str(value))


def visible(text: str) -> str:
    """The text with what cannot be printed escaped, cut if it is long."""
    cut = text if len(text) <= _SHOWN_CHARACTERS_MAX else text[: _SHOWN_CHARACTERS_MAX - 3] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)

