from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from tests.unit.engines.embedded import log_cases

from holdfast import errors
from holdfast.engines.embedded import sentinel
from holdfast.kit import atomic
from holdfast.model.observation import Health

ONE = sentinel.Sentinel(store="s" * 36, cluster="lab", node="n" * 36, number=3, name="d3")


def test_a_sentinel_is_read_as_it_was_written(tmp_path: Path) -> None:
    sentinel.write(tmp_path, ONE)

    found = sentinel.look(tmp_path)

    assert (found.health, found.reason, found.sentinel) == (Health.UP, "", ONE)


def test_a_node_that_is_being_prepared_is_new(tmp_path: Path) -> None:
    preparing = dataclasses.replace(ONE, generation=sentinel.PREPARING)
    sentinel.write(tmp_path, preparing)

    found = sentinel.look(tmp_path)

    assert (found.health, found.sentinel, found.prepared) == (Health.NEW, None, preparing)


@pytest.mark.parametrize(("entries", "health", "reason"), [
    ([], Health.NEW, "node.no_sentinel"),
    (["lost+found"], Health.NEW, "node.no_sentinel"),
    ([".holdfast.node.x8f3"], Health.NEW, "node.no_sentinel"),
    (["photo.jpg"], Health.FOREIGN, "node.not_empty"),
    ([".hidden"], Health.FOREIGN, "node.not_empty"),
])
def test_only_folders_without_anybodys_files_are_new(
    entries: list[str], health: Health, reason: str, tmp_path: Path
) -> None:
    for entry in entries:
        (tmp_path / entry).touch()

    found = sentinel.look(tmp_path)

    assert (found.health, found.reason) == (health, reason)
    assert sorted(os.listdir(tmp_path)) == sorted(entries)


def test_what_is_no_folder_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert sentinel.look(tmp_path / "file").reason == "node.not_a_folder"
    assert sentinel.look(tmp_path / "none").reason == "node.no_folder"


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", '{"format": "other/1"}', '{"format": "holdfast.node/1"}',
    json.dumps({"format": "holdfast.node/1", "store": "s", "cluster": "c", "node": "n",
                "number": "three", "name": "d", "generation": 1, "min_reader": 1,
                "min_writer": 1}),
])
def test_a_damaged_sentinel_is_failing_and_never_new(text: str, tmp_path: Path) -> None:
    (tmp_path / "holdfast.node").write_text(text)

    found = sentinel.look(tmp_path)

    assert (found.health, found.reason) == (Health.FAILING, "node.bad_sentinel")


def test_a_node_of_a_later_release_is_refused(tmp_path: Path) -> None:
    sentinel.write(tmp_path, dataclasses.replace(ONE, min_reader=sentinel.READS + 1))

    with pytest.raises(errors.RefusedError) as raised:
        sentinel.look(tmp_path)

    assert raised.value.code == "store.newer_release"


def test_a_crash_while_writing_leaves_the_old_or_the_new_sentinel(tmp_path: Path) -> None:
    sentinel.write(tmp_path, ONE)
    newer = dataclasses.replace(ONE, generation=2)
    seen = []
    for nth in range(1, 20):
        log_cases.crash_at(nth)
        try:
            sentinel.write(tmp_path, newer)
        except log_cases.Crashed:
            seen.append(sentinel.look(tmp_path).sentinel)
            atomic.set_hook(None)
            continue
        finally:
            atomic.set_hook(None)
        break

    assert len(seen) >= 3
    assert set(seen) <= {ONE, newer}


def test_the_type_of_a_file_system_is_that_of_the_longest_mount_point() -> None:
    assert sentinel.file_system(Path("/proc/self")) == "proc"
    assert sentinel.file_system(Path("/")) not in ("", "proc")
