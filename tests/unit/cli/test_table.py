from __future__ import annotations

from holdfast.cli import table


def test_columns_line_up_where_characters_take_two_cells() -> None:
    drawn = table.lines(("节点", "path"), [("d1", "/mnt/d1"), ("硬盘", "/mnt/照片")], bold=False)

    assert drawn == ["节点  path", "d1    /mnt/d1", "硬盘  /mnt/照片"]


def test_columns_of_numbers_stand_to_the_right() -> None:
    drawn = table.lines(("shard", "offset", "name"), [("0", "0", "x"), ("10", "-", "y")], bold=False)

    assert drawn == ["shard  offset  name", "    0       0  x", "   10       -  y"]


def test_no_cell_is_cut_and_no_line_ends_in_spaces() -> None:
    long = "/mnt/" + "x" * 200

    drawn = table.lines(("path", "free"), [(long, "1"), ("/a", "")], bold=False)

    assert long in drawn[1]
    assert not any(line.endswith(" ") for line in drawn)


def test_a_table_without_rows_is_its_headings() -> None:
    assert table.lines(("a", "b"), [], bold=True) == [f"{table.BOLD}a  b{table.PLAIN}"]
