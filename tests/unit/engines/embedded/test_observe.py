"""What is seen of a store is right after every kind of loss, and seen in bounded time."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import embedded_target, mounts, need
from tests.unit.engines.embedded import small_store

from holdfast import errors
from holdfast.engines.embedded import engine, survey
from holdfast.kit import clock
from holdfast.model import observation, topology

Health = observation.Health


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with 4 objects in each dataset: 1 small, 3 of one or two shards."""
    store = small_store.make(tmp_path / "store")
    for root in ("/data", "/media"):
        store.put(f"{root}/small", small_store.content("small", 1000))
        for number in range(3):
            store.put(f"{root}/{number}", small_store.content(number, 300_000))
    store.close()
    return tmp_path / "store"


@pytest.fixture
def seen(folder: Path) -> Iterator[engine.EmbeddedEngine]:
    store = small_store.reopen(folder)
    yield store
    store.close()


def look(folder: Path, *, read_only: bool = False) -> observation.Observation:
    store = small_store.reopen(folder, read_only=read_only)
    try:
        return store.observe(clock.Deadline(10))
    finally:
        store.close()


def healths(found: observation.Observation) -> dict[str, tuple[Health, str]]:
    return {one.name: (one.health, one.reason) for one in found.nodes}


def by_margin(found: observation.Observation) -> dict[str, dict[int, int]]:
    return {one.name: dict(one.bytes_by_margin) for one in found.datasets}


def counted_margins(folder: Path, lost: set[str]) -> dict[str, dict[int, int]]:
    """Bytes by margin, counted from each shard's nodes."""
    store = small_store.reopen(folder)
    found = {}
    for dataset, protection in (("data", topology.replicas(3)), ("media", topology.erasure(4, 2))):
        margins: Counter[int] = Counter()
        for info in store.list_objects(f"/{dataset}"):
            for shard in store.shards(info.path):
                left = sum(name not in lost for name in shard.nodes)
                data = 1 if len(shard.nodes) < protection.width else protection.data
                margins[max(-1, left - data)] += shard.length
        found[dataset] = dict(margins)
    store.close()
    return found


def test_a_healthy_store_is_seen_whole(folder: Path) -> None:
    found = look(folder)

    assert set(healths(found).values()) == {(Health.UP, "")}
    assert found.initialised
    assert found.writable
    assert found.log_up == found.log_members
    assert by_margin(found) == {"data": {2: 901_000}, "media": {2: 901_000}}
    assert found.used_bytes.value == 2 * 901_000
    assert {one.name: one.objects.value for one in found.datasets} == {"data": 4, "media": 4}
    assert found.heal_bytes == 0
    assert found.heal_queue == 0
    disk = os.statvfs(folder)
    assert sum(int(str(one.capacity_bytes.value)) for one in found.nodes) <= (
        disk.f_blocks * disk.f_frsize)


@pytest.mark.parametrize("lost", [{"d1"}, {"d1", "d2"}, {"d2", "d5"}, {"d1", "d3", "d5"}],
                         ids=lambda names: "+".join(sorted(names)))
def test_lost_nodes_are_named_and_bytes_counted_by_the_margin_they_have_left(
    folder: Path, lost: set[str]
) -> None:
    expected = counted_margins(folder, lost)
    for name in lost:
        shutil.rmtree(folder / name)

    found = look(folder, read_only=len(lost) > 2)

    assert by_margin(found) == expected
    assert {name for name, (health, _) in healths(found).items() if health is not Health.UP} == lost
    assert found.heal_bytes == sum(
        size for one in found.datasets for margin, size in one.bytes_by_margin
        if margin < one.target_margin)
    assert found.heal_bytes > 0


def test_an_empty_folder_in_place_of_a_node_is_a_disk_that_is_not_mounted(folder: Path) -> None:
    shutil.rmtree(folder / "d4")
    (folder / "d4").mkdir()

    found = look(folder)

    assert healths(found)["d4"] == (Health.UNMOUNTED, "node.unmounted")
    assert list((folder / "d4").iterdir()) == []


def test_somebody_elses_files_in_place_of_a_node_are_told_and_left(folder: Path) -> None:
    shutil.rmtree(folder / "d4")
    (folder / "d4").mkdir()
    (folder / "d4" / "thesis.txt").write_text("mine")

    found = look(folder)

    assert healths(found)["d4"] == (Health.FOREIGN, "node.not_empty")
    assert [path.name for path in (folder / "d4").iterdir()] == ["thesis.txt"]


def test_a_node_of_another_store_is_foreign(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    embedded_target.prepare(other)
    shutil.rmtree(folder / "d4")
    (other / "d4").rename(folder / "d4")

    found = look(folder)

    assert healths(found)["d4"] == (Health.FOREIGN, "node.other_store")


def test_swapped_folders_are_known_by_what_they_are(folder: Path) -> None:
    (folder / "d1").rename(folder / "x")
    (folder / "d6").rename(folder / "d1")
    (folder / "x").rename(folder / "d6")

    found = look(folder)

    assert {(one.name, Path(one.path).name) for one in found.nodes} >= {("d6", "d1"), ("d1", "d6")}
    assert {one.health for one in found.nodes} == {Health.UP}
    assert by_margin(found) == {"data": {2: 901_000}, "media": {2: 901_000}}


def test_a_copy_of_a_node_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "d4")
    shutil.copytree(folder / "d5", folder / "d4")

    with pytest.raises(errors.RefusedError) as caught:
        look(folder)

    assert caught.value.code == "node.cloned"


def test_a_damaged_sentinel_is_a_failing_node(folder: Path) -> None:
    (folder / "d4" / "holdfast.node").write_bytes(b"\0" * 100)

    found = look(folder)

    assert healths(found)["d4"] == (Health.FAILING, "node.bad_sentinel")


def test_without_a_majority_of_the_log_nothing_can_be_written(folder: Path) -> None:
    for name in ("d1", "d2", "d3", "d4"):
        shutil.rmtree(folder / name)

    found = look(folder, read_only=True)

    assert not found.writable
    assert found.log_up < found.log_members / 2


def test_damage_that_readers_found_is_counted(folder: Path) -> None:
    store = small_store.reopen(folder)
    store.put("/data/only", b"one of its name")
    position, files = small_store.copies(store, folder, "/data/only")
    small_store.flip(files[(position // 4096) % 3], position + 45)
    small_store.read(store, "/data/only")

    assert store.observe(clock.Deadline(10)).heal_queue == 1
    store.close()


def test_readers_that_keep_garbage_are_named(seen: engine.EmbeddedEngine) -> None:
    with seen.get("/data/0") as source:
        seen.delete("/data/0")
        notices = seen.observe(clock.Deadline(10)).warnings
        source.read()

    told = {str(one.code): str(one) for one in notices}
    assert str(os.getpid()) in told["collect.readers"]


def test_snapshots_are_counted_and_what_only_they_see_has_a_margin(folder: Path) -> None:
    store = small_store.reopen(folder)
    store.create_snapshot("data", "s")
    store.delete("/data/0")

    found = store.observe(clock.Deadline(10))

    data = next(one for one in found.datasets if one.name == "data")
    assert data.snapshots == 1
    assert data.used_bytes.value == 601_000
    assert dict(data.bytes_by_margin) == {2: 901_000}
    store.close()


def test_a_look_at_a_disk_that_hangs_ends_and_says_so() -> None:
    gate = threading.Event()

    def hangs() -> int:
        gate.wait(30)
        return 1

    started = clock.SYSTEM.monotonic_s()
    answers = survey.ask({"good": lambda: 2, "hung": hangs, "late": lambda: 3}, 0.5)

    assert answers == {"good": 2, "late": 3}
    assert clock.SYSTEM.monotonic_s() - started < 2
    gate.set()


def test_a_store_whose_deadline_passed_is_not_looked_at(seen: engine.EmbeddedEngine) -> None:
    with pytest.raises(errors.UnavailableError):
        seen.observe(clock.Deadline(0))


class TestMounted:
    pytestmark = need.root("mount")

    def test_a_disk_that_went_read_only_is_told(self, folder: Path) -> None:
        mounts.run("mount", "--bind", str(folder / "d4"), str(folder / "d4"))
        try:
            mounts.run("mount", "-o", "remount,bind,ro", str(folder / "d4"))
            found = look(folder)
        finally:
            mounts.unmount(folder / "d4")

        assert healths(found)["d4"] == (Health.READ_ONLY, "node.read_only")
        assert by_margin(found) == {"data": {2: 901_000}, "media": {2: 901_000}}

    def test_disks_of_their_own_are_told_by_their_size(self, folder: Path) -> None:
        shutil.rmtree(folder / "d4")
        (folder / "d4").mkdir()
        mounts.run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder / "d4"))
        try:
            found = look(folder)
        finally:
            mounts.unmount(folder / "d4")

        d4 = next(one for one in found.nodes if one.name == "d4")
        assert d4.health is Health.UNMOUNTED  # an empty disk in place of a node
        assert d4.capacity_bytes.value == 8 << 20
        assert len({one.device.value for one in found.nodes}) == 2
