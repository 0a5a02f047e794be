"""Every file that the documentation shows can be planned as it stands, on folders of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.support import console

from holdfast import config
from holdfast.engines import registry
from holdfast.kit import clock

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = {
    f"{page.relative_to(ROOT)}-{number}": block
    for page in PAGES
    for number, block in enumerate(console.blocks(page, "yaml"))
}
EXAMPLES = {page.name: page.read_text(encoding="utf-8") for page in ROOT.glob("examples/*.yaml")}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in (BLOCKS | EXAMPLES).items()])
def test_a_file_that_is_shown_is_planned_without_a_refusal(text: str, tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_text(text, encoding="utf-8")
    read = config.read(str(file), environ={}).spec
    nodes = []
    for node in read.engine.nodes:
        folder = tmp_path / node.name
        folder.mkdir()
        nodes.append(dataclasses.replace(node, path=str(folder)))
    wanted = dataclasses.replace(read, engine=dataclasses.replace(read.engine, nodes=tuple(nodes)))

    control = registry.open_engine(wanted).control
    made = control.plan(wanted, control.observe(clock.Deadline(10.0)))

    assert made.refusals == ()
    assert [step.target for step in made.steps[1:]] == [one.name for one in wanted.datasets]


def test_the_pages_show_files() -> None:
    assert len(BLOCKS) >= 3
