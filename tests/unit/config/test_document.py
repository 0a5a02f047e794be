"""How keys and values are named in errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.config import document


def test_a_path_is_written_as_people_write_it() -> None:
    assert document.dotted(("engine", "nodes", 0, "path")) == "engine.nodes[0].path"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'), (7, "7"), (True, "true"), (False, "false"), (None, "empty"), (1.5, "1.5"),
        ([1], "a list"), ({"a": 1}, "a group of keys"), ("a\nb\x1b", '"a\\nb\\x1b"'),
    ],
)
def test_a_value_is_shown_in_few_words(value: document.Value, text: str) -> None:
    assert document.shown(value) == text


@given(st.text(max_size=300))
def test_what_is_shown_can_be_printed_on_one_line(text: str) -> None:
    shown = document.shown(text)

    assert shown.isprintable()
    assert "\n" not in shown


def test_a_long_value_is_cut() -> None:
    assert document.visible("x" * 1000) == "x" * 237 + "..."
