"""What the configuration came to, as people and programs see it. Called by `config show`."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.config import resolve
from holdfast.config.reference import example, json_schema, reference
from holdfast.kit import units

__all__ = ["Row", "example", "json_schema", "reference", "show", "show_data"]

_UNSET = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `config show`. `shown` is `value` for people; None is shown as `-`."""

    key: str
    value: str | int | None
    shown: str
    origin: str


def show(effective: resolve.Effective) -> tuple[Row, ...]:
    """Every effective value and where it came from, in the order of the file."""
    return tuple(
        Row(key=entry.key, value=entry.value, shown=_shown(entry), origin=str(entry.origin))
        for entry in effective.entries
    )


def show_data(effective: resolve.Effective) -> list[dict[str, str | int | None]]:
    """The same for --json. Sizes are bytes."""
    return [
        {"key": row.key, "value": row.value, "origin": row.origin} for row in show(effective)
    ]


def _shown(entry: resolve.Entry) -> str:
    if entry.value is None:
        return _UNSET
    if entry.unit != "bytes" or not isinstance(entry.value, int):
        return str(entry.value)
    return f"{units.show_size(entry.value)} ({entry.value} bytes)"
