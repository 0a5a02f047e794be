"""What is generated from the schema is current, and every example loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from holdfast import config
from holdfast.config import document, parse, reference, resolve, schema

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PAGE = ROOT / "docs" / "reference" / "configuration.md"
JSON_SCHEMA = Path(holdfast.__file__).parent / "config" / "holdfast.schema.json"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
MEND = "run python -m holdfast.config {} >{}"


def test_the_json_schema_is_current() -> None:
    current = JSON_SCHEMA.read_text() == reference.json_schema()

    assert current, MEND.format("json-schema", "src/holdfast/config/holdfast.schema.json")


def test_the_reference_page_is_current() -> None:
    current = PAGE.read_text() == reference.reference()

    assert current, MEND.format("reference", "docs/reference/configuration.md")


def test_the_reference_page_has_every_key_and_variable() -> None:
    page = PAGE.read_text()

    for key in schema.every_key():
        assert f"| `{key.path[-1]}` |" in page
    for override in resolve.OVERRIDES:
        assert f"`{override.variable}`" in page


def test_there_are_examples() -> None:
    assert [file.stem for file in EXAMPLES] == [
        "four-disk-server", "laptop", "six-disks-three-shelves",
    ]
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_loads_and_is_commented(file: Path) -> None:
    effective = config.read(str(file), environ={})

    assert effective.spec.datasets
    assert file.read_text().count("#") >= 3


@pytest.mark.parametrize("text", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_of_the_reference_page_loads(text: str) -> None:
    assert _read(text).spec.datasets


def test_the_example_explains_every_key() -> None:
    example = reference.example()

    assert _read(example).spec.cluster == "studio"
    for key in schema.every_key():
        assert re.search(rf"^\s*(- |# )?{key.path[-1]}:", example, re.MULTILINE), key.path


def test_what_the_example_leaves_out_can_be_switched_on() -> None:
    keys = {str(key.path[-1]) for key in schema.every_key() if not key.required}
    on = re.sub(rf"# (?=({'|'.join(keys)}): )", "", reference.example())

    asked = _read(on).spec

    assert asked.state == "/var/lib/holdfast/studio"
    assert asked.engine.nodes[0].weight_bytes == 4 * 10**12
    assert (asked.datasets[0].quota_bytes, asked.datasets[0].min_margin) == (2 << 40, 1)


def test_the_json_schema_forbids_unknown_keys_everywhere() -> None:
    root = json.loads(JSON_SCHEMA.read_text())

    for section in (root, *root["$defs"].values()):
        assert section["additionalProperties"] is False
        assert all(value.get("description") for value in section["properties"].values())
    assert set(root["properties"]) == {
        str(key.path[0]) for key in schema.every_key() if len(key.path) == 1
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [("json-schema", reference.json_schema()), ("example", reference.example()),
     ("reference", reference.reference())],
    ids=["json-schema", "example", "reference"],
)
def test_the_module_prints_what_is_generated(name: str, text: str) -> None:
    run = [sys.executable, "-m", "holdfast.config", name]

    printed = subprocess.run(run, capture_output=True, text=True, check=True, timeout=30)

    assert printed.stdout == text


def test_the_module_explains_its_use() -> None:
    run = [sys.executable, "-m", "holdfast.config"]

    printed = subprocess.run(run, capture_output=True, text=True, check=False, timeout=30)

    assert printed.returncode == 2
    assert "json-schema|example|reference" in printed.stderr


def _read(text: str) -> resolve.Effective:
    read: document.Document = parse.parse(text, ROOT / "holdfast.yaml")
    return resolve.resolve(read, {}, {})
