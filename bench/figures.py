"""Samples, their medians and ranges, and the table of them."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the promise. `ratio` of a sample is measured / (reference x share).

    `higher` says which way is better; floor and aim are bounds of the median ratio, or of the
    measured value itself where there is no reference (`absolute`).
    """

    name: str
    title: str
    unit: str
    reference: str
    floor: float
    aim: float
    share: float = 1.0
    higher: bool = True
    absolute: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one round gave for one row."""

    row: str
    reference: float
    measured: float
    peak_bytes: int = 0
    note: str = ""


def summary(row: Row, samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians, ranges and a verdict, as JSON."""
    measured = [sample.measured for sample in samples]
    reference = [sample.reference for sample in samples]
    ratios = [value if row.absolute else value / (base * row.share)
              for value, base in zip(measured, reference, strict=True)]
    ratio = statistics.median(ratios)
    return {
        "name": row.name, "title": row.title, "unit": row.unit, "reference_title": row.reference,
        "rounds": len(samples),
        "measured": _range(measured), "reference": _range(reference), "ratio": _range(ratios),
        "absolute": row.absolute, "floor": row.floor, "aim": row.aim, "verdict": _verdict(row, ratio),
        "peak_rss_bytes": max(sample.peak_bytes for sample in samples),
        "notes": sorted({sample.note for sample in samples if sample.note}),
        "samples": [dataclasses.asdict(sample) for sample in samples],
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """For a terminal."""
    head = ("measure", "unit", "reference", "measured", "ratio (range)", "floor", "aim", "",
            "RSS MiB")
    lines = [head, *(_line(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    ratio = row["ratio"]
    peak = row["peak_rss_bytes"]
    shown = f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"
    return (
        row["title"], row["unit"],
        "-" if row["absolute"] else _show(row["reference"]["median"]),
        _show(row["measured"]["median"]),
        "-" if row["absolute"] else shown,
        f"{row['floor']:g}", f"{row['aim']:g}", row["verdict"],
        f"{peak / (1 << 20):.0f}" if peak else "-",
    )


def _verdict(row: Row, ratio: float) -> str:
    def reaches(bound: float) -> bool:
        return ratio >= bound if row.higher else ratio <= bound

    if reaches(row.aim):
        return "AIM"
    return "floor" if reaches(row.floor) else "BELOW"


def _range(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def _show(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
