from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.unit.cli import harness

from holdfast.model import spec, topology


def test_plan_is_empty_when_the_store_is_what_the_file_asks_for(runner: harness.Runner) -> None:
    ran = runner.ok("plan", "--exit-code")

    assert "nothing to do" in ran.out
    assert runner.ok("apply", "--yes").out == ran.out


def test_pending_changes_are_shown_and_applied(runner: harness.Runner) -> None:
    added = spec.DatasetSpec(name="new", path="/new", protection=topology.replicas(1))
    runner.wanted = dataclasses.replace(runner.wanted, datasets=(*runner.wanted.datasets, added))

    planned = runner.run("plan", "--exit-code", "--json")
    data = planned.document["data"]
    assert isinstance(data, dict)
    refused = runner.run("apply")
    changed = runner.run("apply", "--plan", "0000000000000000")
    runner.ok("apply", "--plan", data["digest"])

    assert planned.code == 9
    assert [step["target"] for step in data["steps"]] == ["new"]
    assert refused.code == 5
    assert f"holdfast apply --plan {data['digest']}" in refused.err
    assert changed.code == 5
    assert runner.ok("plan", "--exit-code").code == 0
    runner.ok("put", "-", "/new/x", stdin=b"x")


def test_a_plan_with_a_refusal_changes_nothing(runner: harness.Runner) -> None:
    first, *others = runner.wanted.datasets
    moved = dataclasses.replace(first, path="/elsewhere")
    runner.wanted = dataclasses.replace(runner.wanted, datasets=(moved, *others))

    planned = runner.run("plan")
    applied = runner.run("apply", "--yes")

    assert (planned.code, applied.code) == (5, 5)
    assert "refused: data: dataset data is at /data, not at /elsewhere" in planned.out
    assert "set its path back to /data" in applied.err


def test_status_answers_the_four_questions(runner: harness.Runner) -> None:
    runner.ok("put", "-", "/data/x", stdin=b"x" * 100)

    text = runner.ok("status").out
    document = runner.ok("status", "--check", "--json").document

    for question in ("can data be lost:", "can it be used:", "under way:", "to do:"):
        assert question in text
    assert document["format"] == "holdfast.status/1"
    data = document["data"]
    assert isinstance(data, dict)
    assert data["healthy"] is True
    assert data["bytes_by_margin"] == [{"margin": 0, "bytes": 100}]
    assert data["risk"]["code"] == "risk.single_copy"
    assert data["observation"]["datasets"][0]["used_bytes"]["value"] == 100


def test_datasets_are_listed_and_shown(runner: harness.Runner) -> None:
    assert "data\t/data\treplicas 1\t0\t0 B\t-" in runner.ok("dataset", "list").out
    assert "erasure 4+2" in runner.ok("dataset", "show", "videos").out
    assert runner.run("dataset", "show", "none").code == 4


def test_snapshots_are_taken_listed_and_deleted(runner: harness.Runner) -> None:
    runner.ok("snapshot", "create", "data", "before")

    listed = runner.ok("snapshot", "list").out
    again = runner.run("snapshot", "create", "data", "before")
    runner.ok("snapshot", "delete", "data", "before")

    assert "data\tbefore\t" in listed
    assert again.code == 5
    assert runner.ok("snapshot", "list", "data", "--json").document["data"] == {"snapshots": []}
    assert runner.run("snapshot", "delete", "data", "before").code == 4


def test_explain_object_says_where_it_lies_and_what_it_survives(runner: harness.Runner) -> None:
    runner.ok("put", "-", "/data/x", stdin=b"x")

    text = runner.ok("explain", "object", "/data/x").out

    assert "/data/x is kept as replicas 1, as dataset data asks" in text
    assert "failures that it survives now: nodes 0, or whole domains 0" in text
    assert runner.run("explain", "object", "/data").code == 5


def test_explain_placement_says_who_does_what(runner: harness.Runner) -> None:
    text = runner.ok("explain", "placement").out
    data = runner.ok("explain", "placement", "--json").document["data"]

    assert "holdfast does it" in text
    assert "is in memory only" in text
    assert isinstance(data, dict)
    assert (data["snapshot"], data["durability"]) == ("holdfast", "memory")


def test_index_rebuild_is_refused_where_there_is_no_index(runner: harness.Runner) -> None:
    asked = runner.run("index", "rebuild")
    refused = runner.run("index", "rebuild", "--yes")

    assert (asked.code, refused.code) == (5, 5)
    assert "holdfast index rebuild --yes" in asked.err
    assert "does not offer" in refused.err


def test_init_writes_a_file_that_is_never_replaced(
    runner: harness.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [str(tmp_path / name) for name in ("d1", "d2", "d3")]

    first = runner.ok("init", *folders)
    second = runner.run("init", *folders)

    assert "replicas 3" in first.out
    assert "on one real disk" in first.err
    assert f"mkdir -p {folders[0]} " in first.err
    assert "replicas 3" in (tmp_path / "holdfast.yaml").read_text()
    assert second.code == 5
    assert not (tmp_path / "d1").exists()


def test_init_writes_no_file_into_a_node(
    runner: harness.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "d1"
    node.mkdir()
    (node / "holdfast.node").touch()
    new = tmp_path / "d2"
    new.mkdir()

    monkeypatch.chdir(node)
    inside_old = runner.run("init", str(tmp_path / "d3"))
    monkeypatch.chdir(new)
    inside_new = runner.run("init", ".")

    assert (inside_old.code, inside_new.code) == (5, 5)
    assert "the folder of a node" in inside_old.err
    assert list(new.iterdir()) == []


def test_config_tells_of_the_schema_and_an_example(runner: harness.Runner) -> None:
    assert '"$schema"' in runner.ok("config", "schema").out
    assert "cluster:" in runner.ok("config", "example").out
    assert runner.ok("config", "path").out == "/test/holdfast.yaml\n"
