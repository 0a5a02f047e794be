"""Every promised row is measured by exactly one group, and can be chosen by name."""

from __future__ import annotations

from collections import Counter

import bench.__main__ as command
from bench import mixed, rows

from holdfast.model import topology


def test_every_row_but_the_overall_peak_has_one_group() -> None:
    measured = Counter(name for _, names in rows.GROUPS.values() for name in names)

    assert measured == Counter(row.name for row in rows.ROWS if row.name != "peak_memory")


def test_a_row_or_a_group_chooses_its_group() -> None:
    assert command.chosen_groups(["small_64"]) == ["small"]
    assert command.chosen_groups(["small", "get_erasure"]) == ["large", "small"]


def test_defaults_are_the_promised_sizes() -> None:
    options = command.parse([])

    settings = command.settings_of(options, command.RESULTS)

    assert settings.total_bytes == 4 << 30
    assert settings.batch_count == 1_000_000
    assert (settings.rounds, settings.objects, settings.few_count) == (5, 8, 10_000)


def test_the_optimum_of_mixed_nodes_is_that_of_the_formula() -> None:
    # 4+4+8+8+12+12+12+12 = 6 x 12, and 4+4+8+8+12+12+16+16 = 3 x 26.67 with no node above it.
    assert round(mixed.best_tb(topology.erasure(4, 2)), 6) == 48
    assert round(mixed.best_tb(topology.replicas(3)), 6) == round(80 / 3, 6)


def test_the_capacity_row_reaches_its_floor() -> None:
    found = {sample.row: sample for sample in mixed.samples()}

    assert found["capacity_replicas"].measured <= found["capacity_replicas"].reference
    assert found["capacity_erasure"].measured >= 0.97 * found["capacity_erasure"].reference
