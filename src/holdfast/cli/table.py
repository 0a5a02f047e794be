"""Tables as lines of text for a terminal. Pure.

A cell is never cut or folded, so that paths and digests can be copied whole; what may be long stands
in the last column, which is not padded.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

GAP = "  "
BOLD, PLAIN = "\033[1m", "\033[0m"
NUMERIC = frozenset("0123456789-")


def lines(columns: Sequence[str], rows: Sequence[Sequence[str]], *, bold: bool) -> list[str]:
    """A line of headings, and one for each row. Columns of numbers stand to the right."""
    widths = [max(map(width, cells)) for cells in zip(columns, *rows, strict=True)]
    right = [bool(rows) and all(set(cell) <= NUMERIC for cell in cells) for cells in _turned(rows)]
    right = right or [False] * len(columns)
    heading = _line(columns, widths, right)
    return [f"{BOLD}{heading}{PLAIN}" if bold else heading, *(_line(one, widths, right) for one in rows)]


def width(text: str) -> int:
    """Cells that a text takes: a Chinese character takes two, a combining mark none."""
    return sum(_cells(one) for one in text)


def pad(text: str, cells: int, *, right: bool = False) -> str:
    room = " " * max(0, cells - width(text))
    return room + text if right else text + room


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (pad(*one[:2], right=one[2]) for one in zip(cells, widths, right, strict=True))
    return GAP.join(padded).rstrip()


def _turned(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    return list(zip(*rows, strict=True))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
