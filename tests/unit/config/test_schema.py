"""The keys and the models say the same as the rest of the program."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from holdfast.config import document, schema
from holdfast.model import spec


def test_the_profiles_are_those_of_the_model() -> None:
    written = schema.Dataset.model_fields["profile"].annotation

    assert set(get_args(written)) == {profile.value for profile in spec.Profile}


@pytest.mark.parametrize("key", schema.every_key(), ids=lambda key: document.dotted(key.path))
def test_every_key_is_explained(key: schema.Key) -> None:
    assert key.description.endswith(".")
    assert key.note.hint
    assert key.note.kind
    assert key.note.section is not None or key.note.example is not None
    assert key.required or key.default is not None or key.note.otherwise


def test_a_key_is_found_by_any_instance_of_its_path() -> None:
    key = schema.key_at(("engine", "nodes", 7, "path"))

    assert key is not None
    assert key.path == ("engine", "nodes", schema.ANY, "path")
    assert schema.key_at(("engine", "nodes", 7)) is None


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "9", "x" * 64])
def test_names_that_are_allowed(name: str) -> None:
    assert re.fullmatch(schema.NAME, name)


@pytest.mark.parametrize("name", ["", ".a", "-a", "a/b", "a b", "é", "x" * 65, "a\n"])
def test_names_that_are_not(name: str) -> None:
    assert not re.fullmatch(schema.NAME, name)
