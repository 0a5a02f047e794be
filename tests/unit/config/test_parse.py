"""YAML to plain values that know their lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.config import document, parse

FILE = Path("/etc/holdfast/holdfast.yaml")
FRAGMENTS = st.sampled_from([
    "cluster", "engine", "nodes", ": ", "\n", "\n  ", "- ", "{", "}", "[", "]", ", ", "'", '"', "|",
    ">", "&a ", "*a", "!t ", "!!int ", "? ", "#", "%YAML 1.3\n", "---\n", "...\n", "\t", "\\", "\\U",
    "0x", "1", "-", "~", "true", ".inf", "<<", "é", "\x00", "\x85",
])


def test_keys_and_values_know_their_lines() -> None:
    read = parse.parse(
        "# a comment\ncluster: main\nengine:\n  nodes:\n    - name: d1\n      path:\n        /a\n", FILE
    )

    assert read.key_line(("cluster",)) == 2
    assert read.key_line(("engine", "nodes", 0)) == 5
    assert read.key_line(("engine", "nodes", 0, "path")) == 6
    assert read.value_line(("engine", "nodes", 0, "path")) == 7


def test_a_key_that_is_not_there_has_the_line_of_what_would_hold_it() -> None:
    read = parse.parse("cluster: main\nengine:\n  nodes:\n    - name: d1\n", FILE)

    assert read.key_line(("engine", "nodes", 0, "path")) == 4
    assert read.key_line(("datasets", "data")) == 1
    assert not read.has(("engine", "kind"))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("main", "main"), ("'7'", "7"), ("7", 7), ("-7", -7), ("007", 7), ("1_000", 1000),
        ("0x1f", 31), ("0o17", 15), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("yes", "yes"),
        ("False", False), ("null", None), ("~", None), ("", None), ("2020-01-01", "2020-01-01"),
        ("10:30", "10:30"), (".inf", float("inf")), ("9" * 5000, "9" * 5000), ("!!int x", "x"),
        ("erasure 4+2", "erasure 4+2"), ("[a, 1]", ["a", 1]), ("{a: {b: c}}", {"a": {"b": "c"}}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_scalars_become_plain_values(written: str, value: document.Value) -> None:
    assert parse.parse(f"key: {written}\n", FILE).values == {"key": value}


def test_keys_are_taken_as_they_are_written() -> None:
    assert parse.parse("007: a\ntrue: b\n", FILE).values == {"007": "a", "true": "b"}


def test_an_anchor_stands_for_its_value() -> None:
    read = parse.parse("a: &same {path: /x}\nb: *same\n", FILE)

    assert read.values["b"] == {"path": "/x"}


BAD = [
    ("empty", "", "config.empty", None),
    ("only comments", "# nothing\n", "config.empty", None),
    ("a list", "- a\n- b\n", "config.not_a_mapping", 1),
    ("a word", "\nholdfast\n", "config.not_a_mapping", 2),
    ("a key twice", "a: 1\nb: {c: 1,\n  c: 2}\n", "config.duplicate_key", 3),
    ("a tab", "a:\n\tb: c\n", "config.tab", 2),
    ("no space after the colon", "a: 1\nb:2\nc: 3\n", "config.not_yaml", 3),
    ("a quote left open", 'a: 1\nb: "x\nc: 3\n', "config.not_yaml", 2),
    ("a bracket left open", "a: 1\nb: [x\n", "config.not_yaml", 3),
    ("wrong indentation", "a:\n  b: 1\n c: 2\n", "config.not_yaml", 3),
    ("two documents", "a: 1\n---\nb: 2\n", "config.not_yaml", 2),
    ("a control character", "a: 1\nb: \x01\n", "config.not_yaml", 2),
    ("an escape beyond Unicode", 'a: "\\UFFFFFFFF"\n', "config.not_yaml", 1),
    ("an unknown version", "%YAML 1.3\n---\na: 1\n", "config.not_yaml", 1),
    ("an anchor that is not there", "a: *b\n", "config.not_yaml", 1),
    ("a tag of another program", "a: 1\nb: !secret x\n", "config.tag", 2),
    ("a list as key", "a: 1\n? [b]\n: c\n", "config.bad_key", 2),
    ("a value inside itself", "a: 1\nb: &x [*x]\n", "config.too_deep", 2),
    ("brackets without end", "a: " + "[" * 9000, "config.not_yaml", 1),
]


@pytest.mark.parametrize(
    ("text", "code", "line"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_is_not_keys_with_values_is_refused_with_its_line(
    text: str, code: str, line: int | None
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        parse.parse(text, FILE)

    assert (caught.value.code, caught.value.fields.get("line")) == (code, line)
    assert str(FILE) in str(caught.value)
    assert caught.value.hint


def test_a_key_that_is_there_twice_names_both_lines() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        parse.parse("datasets:\n  a: 1\n  b: 2\n  a: 3\n", FILE)

    assert str(caught.value).endswith("line 4: datasets.a is there twice; the first is on line 2")


def test_values_that_multiply_through_anchors_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(errors.ConfigError) as caught:
        parse.parse("\n".join(lines), FILE)

    assert caught.value.code == "config.too_deep"


@given(st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=20).map("".join)))
@example("%YAML 1.3\n---\na: b")
@example('"\\U00110000": a')
def test_no_text_raises_anything_but_config_error(text: str) -> None:
    try:
        read = parse.parse(text, FILE)
    except errors.ConfigError as error:
        message, hint = errors.render(error, str)
        assert message.isprintable()
        assert hint.isprintable()
    else:
        assert isinstance(read.values, dict)
