"""Sizes and durations as people write them, and back."""

from __future__ import annotations

import re

from holdfast import errors

_BINARY = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50, "E": 1 << 60}
_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGTPE]?)(i?)B?\s*", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w|y)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31_536_000}


def parse_size(text: str | int) -> int:
    """Bytes of `2 TiB`, `500GB`, `64k` (a bare letter is binary). Raises ConfigError."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.fullmatch(str(text))
    if match is None:
        raise errors.ConfigError(
            "units.bad_size", "{text} is not a size",
            hint="write a number and a unit, such as 500 MB, 64 MiB or 2 TiB", text=str(text),
        )
    number, prefix, binary = match.groups()
    decimal = not binary and bool(prefix) and str(text).strip().upper().endswith("B")
    scale = (_DECIMAL if decimal else _BINARY)[prefix.upper()]
    return round(float(number) * scale)


def parse_duration_s(text: str | float) -> float:
    """Seconds of `90s`, `1h30m`, `14d`. Raises ConfigError."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text)
    compact = str(text).replace(" ", "")
    parts = _DURATION.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise errors.ConfigError(
            "units.bad_duration", "{text} is not a duration",
            hint="write numbers with units, such as 30s, 10m, 1h30m or 14d", text=str(text),
        )
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def show_size(size_bytes: float) -> str:
    """`1.5 GiB`; exact bytes below 1 KiB."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} EiB"


def show_duration(seconds: float) -> str:
    """`3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, small_unit in (
        (60, "min", 1, "s"), (3600, "h", 60, "min"), (86400, "d", 3600, "h"),
    ):
        if whole < size * (60 if size < 3600 else 24) or size == 86400:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{whole} s"
