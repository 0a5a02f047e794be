"""Figures say what was measured, and verdicts follow the bounds."""

from __future__ import annotations

import dataclasses

import pytest
from bench import figures
from bench.figures import Row, Sample

FASTER = Row(name="fast", title="fast", unit="MB/s", reference="W", share=0.5, floor=0.4, aim=0.7)
CHEAPER = Row(name="cost", title="cost", unit="ms", reference="small", floor=1.3, aim=1.05,
              higher=False)
ABSOLUTE = Row(name="peak", title="peak", unit="MiB", reference="-", floor=256, aim=128,
               higher=False, absolute=True)


@pytest.mark.parametrize(
    ("row", "measured", "verdict"),
    [
        (FASTER, 35, "AIM"),
        (FASTER, 20, "floor"),
        (FASTER, 19, "BELOW"),
        (CHEAPER, 104, "AIM"),
        (CHEAPER, 130, "floor"),
        (CHEAPER, 131, "BELOW"),
        (ABSOLUTE, 128, "AIM"),
        (ABSOLUTE, 257, "BELOW"),
    ],
)
def test_a_verdict_follows_floor_and_aim(row: Row, measured: float, verdict: str) -> None:
    one = Sample(row=row.name, reference=100, measured=measured)

    assert figures.summary(row, [one])["verdict"] == verdict


def test_medians_and_ranges_are_of_the_pairs_of_rounds() -> None:
    pairs = [(100, 30), (200, 40), (100, 50)]
    samples = [Sample(row="fast", reference=base, measured=value) for base, value in pairs]

    found = figures.summary(FASTER, samples)

    assert found["measured"] == {"median": 40, "low": 30, "high": 50}
    assert found["ratio"] == {"median": 0.6, "low": 0.4, "high": 1.0}
    assert found["rounds"] == 3


def test_the_peak_is_the_largest_of_the_rounds() -> None:
    one = Sample(row="fast", reference=1, measured=1, peak_bytes=5)
    other = dataclasses.replace(one, peak_bytes=9)

    assert figures.summary(FASTER, [one, other, one])["peak_rss_bytes"] == 9


def test_the_table_has_a_line_for_each_row_and_a_head() -> None:
    samples = [Sample(row="fast", reference=1000, measured=350, peak_bytes=80 << 20)]

    text = figures.table([figures.summary(FASTER, samples)])

    assert len(text.splitlines()) == 2
    assert "0.70 (0.70-0.70)" in text.splitlines()[1]
    assert text.splitlines()[1].endswith("80")
